"""Weights in and out: safetensors in the Hugging Face layout of GPT-2, Llama and Qwen3 models."""

from tuitrain_engine.weights.hf_config import config_from_hf
from tuitrain_engine.weights.layouts import layout_for
from tuitrain_engine.weights.reading import load_pretrained
from tuitrain_engine.weights.writing import check_export, export_weights

__all__ = ["check_export", "config_from_hf", "export_weights", "layout_for", "load_pretrained"]
