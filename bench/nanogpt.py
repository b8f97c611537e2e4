"""Tokens per second and validation loss against a nanoGPT checkout, on the same shape, data, batch and machine.

    python bench/nanogpt.py --repo ~/nanoGPT --data tinyshakespeare.txt [--train 2000] [--compiled]

4 layers, 4 heads, 128 wide, block 64, batch 12 on tinyshakespeare characters: the CPU recipe of nanoGPT's README.
Its model.py is imported and stepped as its train.py does; ours goes through the engine's own train_step with data
loading, telemetry, log and console. Both run in this process, pair by pair, so that a busy machine slows both.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import io
import math
import sys
import tempfile
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from common import interleaved, median_ratio, print_table, steps_of, temporary_trainer
from tuitrain_engine.trainer import Trainer

BLOCK, BATCH, LR, MIN_LR, WARMUP, BETAS = 64, 12, 1e-3, 1e-4, 100, (0.9, 0.99)
SHAPE = {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": BLOCK}


def our_config(data: Path, steps: int, compiled: bool, log_interval: int) -> dict[str, Any]:
    """nanoGPT's recipe as a configuration of ours."""
    return {
        "model": {
            "n_layers": 4, "n_heads": 4, "d_model": 128, "seq_len": BLOCK, "norm": "layernorm", "norm_bias": False,
            "position": "learned", "ffn": "gelu", "bias": False, "tied_embeddings": True,
        },
        "data": {"source": str(data), "tokenizer": "char", "val_fraction": 0.1},
        "optim": {"lr": LR, "betas": list(BETAS), "weight_decay": 0.1},
        "schedule": {"warmup_steps": WARMUP, "min_lr_ratio": MIN_LR / LR},
        "train": {
            "max_steps": steps, "global_batch_size": BATCH, "micro_batch_size": BATCH, "compile": compiled,
            "grad_clip": 1.0,
        },
        "eval": {"interval": 0},
        "telemetry": {"log_interval": log_interval},
    }  # fmt: skip


class NanoGPT:
    """The model of nanoGPT's model.py with the step of its train.py, on one process, `every` so many steps one line."""

    def __init__(
        self, source: Path, ids: np.ndarray, vocab_size: int, total: int, compiled: bool, every: int,
        shape: dict[str, int] = SHAPE, batch: int = BATCH,
    ) -> None:  # fmt: skip
        module = _import(source)
        torch.manual_seed(1337)
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        settings = module.GPTConfig(vocab_size=vocab_size, bias=False, dropout=0.0, **shape)
        self.raw_model = module.GPT(settings).to(self.device)
        self.block, self.batch = shape["block_size"], batch
        self.optimizer = self.raw_model.configure_optimizers(0.1, LR, BETAS, self.device)
        self.model = torch.compile(self.raw_model) if compiled else self.raw_model
        self.scaler = torch.amp.GradScaler(self.device, enabled=False)
        self.context = torch.autocast("cuda", dtype=torch.bfloat16) if self.device == "cuda" else nullcontext()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "train.bin"
        ids.astype(np.uint16).tofile(self.path)
        self.iteration, self.total, self.every = 0, total, every
        self.next = self.get_batch()

    def get_batch(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Random windows of the memory map, opened anew each time as nanoGPT does against a leak."""
        data = np.memmap(self.path, dtype=np.uint16, mode="r")
        starts, block = torch.randint(len(data) - self.block, (self.batch,)), self.block
        x = torch.stack([torch.from_numpy(data[i : i + block].astype(np.int64)) for i in starts])
        y = torch.stack([torch.from_numpy(data[i + 1 : i + 1 + block].astype(np.int64)) for i in starts])
        if self.device == "cuda":
            return x.pin_memory().to("cuda", non_blocking=True), y.pin_memory().to("cuda", non_blocking=True)
        return x, y

    def step(self) -> None:
        """One iteration."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr()
        with self.context:
            _, loss = self.model(*self.next)
        self.next = self.get_batch()
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.iteration % self.every == 0:
            print(f"iter {self.iteration}: loss {loss.item():.4f}")
        self.iteration += 1

    def _lr(self) -> float:
        if self.iteration < WARMUP:
            return LR * (self.iteration + 1) / (WARMUP + 1)
        share = min((self.iteration - WARMUP) / max(self.total - WARMUP, 1), 1.0)
        return MIN_LR + 0.5 * (1 + math.cos(math.pi * share)) * (LR - MIN_LR)

    @torch.no_grad()
    def val_loss(self, trainer: Trainer, batches: int) -> float:
        """Its loss on the very batches that the engine evaluates on."""
        self.raw_model.eval()
        losses = []
        for index in range(batches):
            x, y = trainer.dataset.val.batch(index * BATCH, BATCH)
            losses.append(self.raw_model(x.to(self.device), y.to(self.device))[1].item())
        self.raw_model.train()
        return sum(losses) / len(losses)


def _import(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("nanogpt_model", path)
    if spec is None or spec.loader is None or not path.exists():
        sys.exit(f"{path} does not exist: a checkout of nanoGPT has it.")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def compare(options: argparse.Namespace, compiled: bool) -> list[str]:
    """One row: speed in pairs, and with --train the validation losses after as many steps."""
    text = options.data.read_text(encoding="utf-8")
    characters = sorted(set(text))
    ids = np.array([characters.index(c) for c in text[: int(0.9 * len(text))]])
    measured_steps = options.pairs * options.steps + options.steps
    total = max(options.train, measured_steps)
    config = our_config(options.data.resolve(), total, compiled, options.log_interval)
    with temporary_trainer(config) as trainer, steps_of(trainer) as ours:
        theirs = NanoGPT(options.repo / "model.py", ids, len(characters), total, compiled, options.log_interval)
        run(theirs.step, options.steps), run(ours, options.steps)
        pairs = interleaved(theirs.step, ours, options.pairs, options.steps)
        losses = ["", ""]
        if options.train:
            run(theirs.step, options.train - measured_steps), run(ours, options.train - measured_steps)
            count = min(200, trainer.dataset.val.n_sequences // BATCH)
            losses = [f"{theirs.val_loss(trainer, count):.4f}", f"{trainer.evaluator.measure(count * BATCH)[0]:.4f}"]
    tokens = BATCH * BLOCK
    their_speed, our_speed = (tokens / sorted(pair[side] for pair in pairs)[len(pairs) // 2] for side in (0, 1))
    mode = "compiled" if compiled else "eager"
    return [mode, f"{their_speed:,.0f}", f"{our_speed:,.0f}", f"{median_ratio(pairs):.3f}", *losses]


def run(step: Callable[[], None], steps: int) -> None:
    """So many steps."""
    for _ in range(steps):
        step()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repo", type=Path, required=True, help="a checkout of nanoGPT")
    parser.add_argument("--data", type=Path, required=True, help="the tinyshakespeare text file")
    parser.add_argument("--train", type=int, default=0, help="train both for so many steps and compare validation loss")
    parser.add_argument("--mode", choices=["eager", "compiled", "both"], default="both")
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--steps", type=int, default=20, help="steps of each side of a pair")
    parser.add_argument("--log-interval", type=int, default=10, help="steps between log lines, on both sides")
    options = parser.parse_args()
    modes = [False, True] if options.mode == "both" else [options.mode == "compiled"]
    rows = []
    for compiled in modes:
        with contextlib.redirect_stdout(io.StringIO()):
            rows.append(compare(options, compiled))
    print(
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, {options.pairs} pairs of {options.steps} steps"
    )
    print_table(["", "nanoGPT tok/s", "tuitrain tok/s", "median ratio", "nanoGPT val loss", "tuitrain val loss"], rows)


if __name__ == "__main__":
    main()
