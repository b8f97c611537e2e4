"""The model zoo: one transformer class driven by the config, one concept a file."""

from tuitrain_engine.model.attention import LayerCache, check_backend
from tuitrain_engine.model.init import initialise
from tuitrain_engine.model.transformer import Transformer

__all__ = ["LayerCache", "Transformer", "check_backend", "initialise"]
