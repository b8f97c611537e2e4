"""Small real runs of the engine for tests: a run directory, the real subprocess, its log."""

from __future__ import annotations

import dataclasses
import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import torch
from tests.support import check_that_the_log_agrees
from tests.warm_engine import WarmProcess, start_ranks

from tuitrain import events
from tuitrain.analysis.summary import summarize
from tuitrain.config import load_config, validate
from tuitrain.runs import RunDirectory, load_history
from tuitrain_engine import checkpoint
from tuitrain_engine.building import build_model
from tuitrain_engine.optim import build_optimizer

WORDS = ("def", "return", "for", "in", "if", "else", "while", "class", "self", "value", "index", "print", "range")


def write_corpus(path: Path, words: int = 6000) -> Path:
    """A text with a pattern to learn."""
    generator = random.Random(0)
    path.write_text(" ".join(generator.choice(WORDS) for _ in range(words)), encoding="utf-8")
    return path


def micro_tree(corpus: Path) -> dict[str, dict[str, object]]:
    """A configuration of five short steps: 2 blocks, 32 wide."""
    return {
        "model": {"n_layers": 2, "d_model": 32, "n_heads": 2, "seq_len": 16, "position": "rope", "norm": "rmsnorm"},
        "data": {"source": str(corpus), "tokenizer": "byte", "val_fraction": 0.1},
        "optim": {"lr": 0.01},
        "schedule": {"warmup_steps": 2},
        "train": {"max_steps": 5, "global_batch_size": 8, "micro_batch_size": 4, "compile": False, "device": "cpu"},
        "eval": {"interval": 2, "steps": 2},
        "sampling": {"interval": 4, "max_tokens": 8},
        "checkpoint": {"interval": 2, "keep_last": 2},
        "telemetry": {"grad_stats_interval": 2, "system_interval_s": 60.0},
    }


def make_run(tmp_path: Path, name: str = "run", **sections: dict[str, object]) -> Path:
    """A run directory with the micro configuration, sections updated."""
    corpus = tmp_path / "corpus.txt"
    if not corpus.exists():
        write_corpus(corpus)
    tree = micro_tree(corpus)
    for section, keys in sections.items():
        tree.setdefault(section, {}).update(keys)
    run_dir = tmp_path / name
    run_dir.mkdir()
    (run_dir / "config.toml").write_text(validate({"name": name, **tree}).to_toml(), encoding="utf-8")
    return run_dir


def environment(run_dir: Path) -> dict[str, str]:
    """The environment of the engine: one thread, no colour, a cache of its own."""
    plain = {key: value for key, value in os.environ.items() if key not in ("FORCE_COLOR", "NO_COLOR")}
    return {**plain, "OMP_NUM_THREADS": "1", "TUITRAIN_CACHE_DIR": str(run_dir.parent / "cache")}


def command(*arguments: str) -> list[str]:
    """The engine's command line."""
    return [sys.executable, "-m", "tuitrain_engine", *arguments]


def run_engine(
    run_dir: Path, *arguments: str, processes: int = 1, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the engine to its end; by default `train`. Whatever happens, the log agrees with itself.

    before: what the process does first, if it is one. The result is that of rank 0, the exit code the first that is
    not 0.
    """
    chosen = arguments or ("train",)
    words = [chosen[0], "--run-dir", str(run_dir), *chosen[1:]]
    if processes == 1:
        ranks = [WarmProcess(words, env=environment(run_dir), cwd=run_dir, before=before)]
    else:
        ranks = start_ranks(words, processes, env=environment(run_dir), cwd=run_dir)
    (output, errors), *_ = [rank.communicate(timeout=60) for rank in ranks]
    if (run_dir / "metrics.jsonl").exists():
        check_that_the_log_agrees(run_dir)
    codes = [rank.returncode or 0 for rank in ranks]
    return subprocess.CompletedProcess(words, next(filter(None, codes), 0), output, errors)


def run_command(
    run_dir: Path, *words: str, before: Callable[[], object] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `tuitrain WORD …`, and the engine if it starts one, to its end."""
    process = WarmProcess(words, module="tuitrain.cli", env=environment(run_dir), cwd=run_dir.parent, before=before)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(words, process.returncode or 0, output, errors)


def start_engine(run_dir: Path, processes: int = 1) -> WarmProcess:
    """Start the engine in the background, several processes by torchrun, and wait for its third step."""
    words, env = ["train", "--run-dir", str(run_dir)], environment(run_dir)
    if processes == 1:
        process = WarmProcess(words, env=env, cwd=run_dir)
    else:
        options = ["--standalone", "--nproc-per-node", str(processes), "-m", "tuitrain_engine"]
        process = WarmProcess([*options, *words], module="tuitrain_engine.torchrun", env=env, cwd=run_dir)
    for line in process.stdout:
        if line.startswith("step ") and " 3/" in line:
            return process
    raise AssertionError(process.stderr.read())


def read_log(run_dir: Path) -> list[events.AnyRecord]:
    """Every record of the log except preparation stages; a broken line is an error."""
    lines = (run_dir / "metrics.jsonl").read_bytes().splitlines()
    records = [events.decode(line) for line in lines]
    return [record for record in records if record is not None and not isinstance(record, events.Stage)]


def of_type(records: list[events.AnyRecord], kind: type) -> list:
    """The records of one type."""
    return [record for record in records if isinstance(record, kind)]


def configure(run_dir: Path, *overrides: str) -> None:
    """Change the configuration of a run."""
    config = load_config(str(run_dir / "config.toml"), overrides)
    (run_dir / "config.toml").write_text(config.to_toml(), encoding="utf-8")


def model_tensors(run_dir: Path, step: int) -> dict[str, torch.Tensor]:
    """The parameters and optimizer moments of a checkpoint."""
    config = load_config(str(run_dir / "config.toml")).with_vocab_size(256)
    model = build_model(config, torch.device("cpu"))
    optimizer = build_optimizer(model, config.optim, "cpu")
    checkpoint.load(checkpoint.directory(run_dir, step), model, optimizer)
    moments = {
        f"{number}.{name}": value
        for number, state in optimizer.state_dict()["state"].items()
        for name, value in state.items()
    }
    return {**model.state_dict(), **moments}


def known_values(run_dir: Path) -> dict[str, object]:
    """What the readers make of a log, as the `end` record has it."""
    values = dataclasses.asdict(summarize(load_history(RunDirectory(run_dir))))
    return {key: value for key, value in values.items() if value is not None and key not in ("name", "run_id")}
