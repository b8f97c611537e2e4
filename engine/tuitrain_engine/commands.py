"""Commands of the engine besides training: generate text, export weights, check that a checkpoint loads."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch

from tuitrain.config import RunConfig, load_config
from tuitrain.text import ascii_json
from tuitrain_engine import checkpoint, weights
from tuitrain_engine.building import build_model
from tuitrain_engine.checkpoint import CheckpointError, SavedCheckpoint
from tuitrain_engine.data import Tokenizer, load_tokenizer
from tuitrain_engine.hardware import find_machine
from tuitrain_engine.model import Transformer
from tuitrain_engine.optim import build_optimizer
from tuitrain_engine.sampling import continue_text


def sample(
    run_dir: Path,
    prompt: str,
    *,
    max_tokens: int | None,
    temperature: float | None,
    top_k: int | None,
    top_p: float | None,
    seed: int | None,
    step: int | None,
    as_json: bool,
) -> None:
    """Print the continuation of a prompt by the newest checkpoint (or that of `step`); unset options as in the run."""
    saved = _chosen(run_dir, step)
    config, tokenizer = _load(run_dir)
    machine = find_machine(config.train, config.hardware)
    model = build_model(config, machine.device, tokenizer.end_of_document)
    checkpoint.load_model(saved.path, model)
    defaults = config.sampling
    with machine.autocast():
        text = continue_text(
            model,
            tokenizer,
            prompt,
            max_tokens=defaults.max_tokens if max_tokens is None else max_tokens,
            temperature=defaults.temperature if temperature is None else temperature,
            top_k=defaults.top_k if top_k is None else top_k,
            top_p=defaults.top_p if top_p is None else top_p,
            seed=config.train.seed if seed is None else seed,
        )
    if as_json:
        answer = {"run_id": run_dir.name, "step": saved.step, "prompt": prompt, "text": text}
        print(ascii_json(json.dumps(answer)))
    else:
        print(prompt + text)


def export_weights(run_dir: Path, out: Path, *, step: int | None, split: bool, dtype: str, as_json: bool) -> None:
    """Write the weights of the newest checkpoint (or that of `step`) in Hugging Face layout; prints the paths."""
    saved = _chosen(run_dir, step)
    config, tokenizer = _load(run_dir)
    # Checked before loading, which takes minutes.
    weights.check_export(config.model, out)
    with torch.device("meta"):
        model = Transformer(config.model, tokenizer.end_of_document)
    model.to_empty(device="cpu")
    checkpoint.load_model(saved.path, model)
    paths = [str(path) for path in weights.export_weights(model, config, tokenizer, out, dtype=dtype, split=split)]
    print(ascii_json(json.dumps(paths, indent=2)) if as_json else "\n".join(paths))


def check_checkpoint(run_dir: Path) -> None:
    """Load the newest checkpoint into a new model and a new optimizer; print that it loads."""
    saved = _chosen(run_dir, None)
    config, tokenizer = _load(run_dir)
    machine = find_machine(config.train, config.hardware)
    model = build_model(config, machine.device, tokenizer.end_of_document)
    optimizer = build_optimizer(model, config.optim, machine.device.type)
    checkpoint.load(saved.path, model, optimizer)
    print(f"ok: {saved.path.name} loads into a new model and optimizer")


def _chosen(run_dir: Path, step: int | None) -> SavedCheckpoint:
    """The checkpoint of a step, or the newest undamaged one; prints damaged newer ones on stderr."""
    if step is None:
        saved, damaged = checkpoint.choose(run_dir)
        if saved is None:
            raise CheckpointError(checkpoint.none_sentence(run_dir, damaged))
        for sentence in damaged:
            print(f"{sentence} {saved.path.name} is used instead.", file=sys.stderr)
        return saved
    saved = checkpoint.at_step(run_dir, step)
    if saved is None:
        steps = ", ".join(str(item.step) for item in checkpoint.complete(run_dir))
        has = f"no checkpoint of step {step}; it has {steps}" if steps else "no complete checkpoint"
        raise CheckpointError(f"{run_dir} has {has}.")
    problem = checkpoint.damage(saved.path)
    if problem is not None:
        raise CheckpointError(problem)
    return saved


def _load(run_dir: Path) -> tuple[RunConfig, Tokenizer]:
    config, tokenizer = load_config(str(run_dir / "config.toml")), load_tokenizer(run_dir / "tokenizer")
    return config.with_vocab_size(tokenizer.vocab_size), tokenizer
