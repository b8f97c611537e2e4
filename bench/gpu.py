"""Speed, utilisation and memory of the engine on one GPU: the rows of docs/performance-log.md, most telling first.

    python bench/gpu.py --out DIR [--nanogpt MODEL.PY] [--minutes 9.5] [--row NAME …]
    python bench/gpu.py --out DIR --tiny          # all rows on small shapes: proves on a CPU that the script works

Each row runs in a process of its own, so that neither its memory nor its end touches another. DIR/gpu.md and
DIR/gpu.json are written anew after each row. Started again with the same DIR the script goes on: a row that is done is
not run again, one that died is tried once more after all others, one that the total time cut off as if it had not run.
Needs torch from 2.11 on and what the engine needs, but neither textual nor plotext.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gpu_table import Outcome, Results

REPOSITORY = Path(__file__).parents[1]
TOKENS = 2_000_000
LEAST_S = 15.0  # with less time left no row is started
TINY = {"qwen3-1.8b": "qwen3-tiny", "gpt2-124m": "gpt2-tiny", "llama3-2.2b": "llama3-tiny"}
TINY_OVERRIDES = ("model.n_layers=2", "model.dropout=0", "train.compile=false")
TINY_PATIENCE = 5.0  # times a row's limit: small shapes measure nothing, and the machine may be busy


@dataclass(frozen=True)
class Row:
    """What is measured: `kind` names the function, limit_s is its time."""

    name: str
    kind: str = "steps"
    preset: str = ""
    micro: int = 0
    accumulation: int = 1
    overrides: tuple[str, ...] = ()
    limit_s: float = 90.0


ROWS = (
    Row("clocks and power", "clocks", limit_s=60),
    Row("qwen3-1.8b", preset="qwen3-1.8b", micro=16),
    Row("qwen3-1.8b, accumulated", preset="qwen3-1.8b", micro=2, accumulation=8),
    Row("gpt2-124m", preset="gpt2-124m", micro=32),
    Row("gpt2-124m, vocabulary 50,304", preset="gpt2-124m", micro=32, overrides=("model.vocab_size=50304",)),
    Row("nanoGPT as gpt2-124m", "nanogpt", preset="gpt2-124m", micro=32),
    Row("llama3-2.2b", preset="llama3-2.2b", micro=12),
    Row("qwen3-1.8b, flash", preset="qwen3-1.8b", micro=16, overrides=("model.attention_backend=flash",)),
    Row("a run of qwen3-1.8b", "run", preset="qwen3-1.8b", micro=16, limit_s=240),
    Row("attention kernels agree", "agreement", limit_s=180),
)


# ── what is measured, each in a process of its own ───────────────────────────────────────────────────────


def measure_clocks(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """The fastest bf16 matrix product, and clocks and power at rest and while it runs."""
    import torch

    from common import time_steps

    at_rest = gpu_state()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    speeds: dict[str, float] = {}
    for size in (256, 512) if options.tiny else (4096, 8192, 12288, 16384):
        a, b = (torch.randn(size, size, device=device, dtype=torch.bfloat16) for _ in range(2))
        product = lambda a=a, b=b: a @ b  # noqa: E731
        time_steps(product, 5)
        seconds = statistics.median(time_steps(product, 20) for _ in range(5))
        speeds[f"{size}³"] = round(2 * size**3 / seconds / 1e12, 3)
    for _ in range(200 if device == "cuda" else 1):
        product()
    loaded = gpu_state()
    best = max(speeds, key=lambda shape: speeds[shape])
    return {
        "TFLOP/s": speeds[best], "its shape": best, "at rest": at_rest, "loaded": loaded,
        "device": torch.cuda.get_device_name() if device == "cuda" else f"{platform.machine()} CPU",
        "torch": torch.__version__, "python": platform.python_version(),
    }  # fmt: skip


def gpu_state() -> str | None:
    """Clocks, power and temperature as nvidia-smi says them; None without one."""
    fields = "clocks.sm,clocks.mem,power.draw,power.limit,temperature.gpu"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        command = ["nvidia-smi", f"--query-gpu={fields}", "--format=csv,noheader", "--id=0"]
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    return None


def measure_steps(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """The engine's own train_step on random tokens."""
    from common import steps_of, temporary_trainer

    started = time.monotonic()
    with temporary_trainer(configuration(row, options)) as trainer, steps_of(trainer) as step:
        ready = time.monotonic() - started
        records = map(json.loads, (trainer.run_dir / "metrics.jsonl").read_bytes().splitlines())
        attention = next(record["attention_backend"] for record in records if record["type"] == "run")
        measured = rate(row, trainer.config, step, options.seconds, trainer.machine.peak_tflops)
    return measured | {"ready after s": ready, "attention": attention}


def measure_nanogpt(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """nanoGPT's model of the same shape, stepped as its train.py does."""
    import torch

    from nanogpt import NanoGPT
    from tuitrain import accounting

    config = configuration(row, options)
    model, every = config.model, config.telemetry.log_interval
    # Its train.py rounds GPT-2's 50,257 up; ids stay below both.
    vocab_size = -(-model.vocab_size // 64) * 64
    shape = {"n_layer": model.n_layers, "n_head": model.n_heads, "n_embd": model.d_model, "block_size": model.seq_len}
    ids = np.fromfile(random_tokens(options.out, model.vocab_size) / "train.bin", dtype=np.uint32)
    started = time.monotonic()
    theirs = NanoGPT(options.nanogpt, ids, vocab_size, 10**6, True, every, shape, row.micro)
    theirs.step()
    ready = time.monotonic() - started
    name = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    measured = rate(row, config, theirs.step, options.seconds, accounting.peak_tflops(name, "bfloat16"))
    return measured | {"ready after s": ready}


def rate(row: Row, config: Any, step: Callable[[], None], seconds: float, peak: float | None) -> dict[str, Any]:
    """Median of three times so many seconds, after three steps that are not counted."""
    import torch

    from common import time_steps
    from tuitrain import accounting

    for _ in range(3):
        step()
    count = max(round(seconds / 3 / time_steps(step, 1)), 2)
    each = statistics.median(time_steps(step, count) for _ in range(3))
    flops, speed = accounting.flops_per_token(config.model), config.tokens_per_step / each
    return {
        "batch": f"{row.micro} × {row.accumulation}", "tokens/s": speed, "ms/step": each * 1e3,
        "TFLOP/s": accounting.achieved_tflops(speed, flops.full, 1), "MFU": accounting.mfu(speed, flops.full, 1, peak),
        "MFU causal": accounting.mfu(speed, flops.causal, 1, peak), "gpu": gpu_state(),
        "peak GB": torch.cuda.max_memory_allocated() / 1e9 if torch.cuda.is_available() else None,
    }  # fmt: skip


def measure_run(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """A run by the engine's command: start-up, the stall of saving, trace, evaluation and sample. Its log stays."""
    folder = options.out / "run"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    extra = (
        "train.max_steps=14", "telemetry.profile_steps=9-10", "checkpoint.interval=7", "checkpoint.keep_last=1",
        "checkpoint.keep_best=false", "eval.interval=14", "eval.steps=2", "sampling.interval=14",
        "sampling.prompt=the", "sampling.max_tokens=64", "telemetry.system_interval_s=1",
    )  # fmt: skip
    (folder / "config.toml").write_text(configuration(row, options, *extra).to_toml(), encoding="utf-8")
    command, began = [sys.executable, "-m", "tuitrain_engine", "train", "--run-dir", str(folder)], time.time()
    with (folder / "console.log").open("w") as console:
        code = subprocess.run(command, stdout=console, stderr=subprocess.STDOUT).returncode
    shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    if code:
        raise RuntimeError(" ".join((folder / "console.log").read_text(encoding="utf-8").split())[-300:])
    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_bytes().splitlines()]
    of = {kind: [each for each in records if each["type"] == kind] for kind in ("run", "step", "eval", "checkpoint")}
    steps, first, saved = {each["step"]: each for each in of["step"]}, of["step"][0], of["checkpoint"][0]
    usual = statistics.median(step["step_time_ms"] for step in of["step"]) / 1e3
    # The record of step 7 is written before it is saved; that of step 9, on CUDA, when step 10 has been issued.
    late = usual if options.on_cuda else 0.0
    stall = steps[9]["time"] - steps[7]["time"] - (steps[8]["step_time_ms"] + steps[9]["step_time_ms"]) / 1e3 - late
    return {
        "batch": f"{row.micro} × {row.accumulation}", "ms/step": usual * 1e3, "MFU": steps[6]["mfu"],
        "peak GB": max(step["mem_peak_gb"] for step in of["step"]), "ready after s": of["run"][0]["time"] - began,
        "first step after s": round(first["time"] - first["step_time_ms"] / 1e3 - began, 1),
        "saving stalls for s": round(max(stall, 0.0), 2), "written after s": round(saved["duration_ms"] / 1e3, 2),
        "checkpoint GB": round(saved["bytes"] / 1e9, 3), "evaluation s": round(of["eval"][-1]["duration_ms"] / 1e3, 2),
        "traces": ", ".join(path.name for path in sorted((folder / "profile").glob("*"))),
    }  # fmt: skip


def measure_agreement(row: Row, options: argparse.Namespace) -> dict[str, Any]:
    """tests/engine/test_gpu.py: the last line of pytest, and what failed."""
    tests = REPOSITORY / "tests/engine/test_gpu.py"
    command = [sys.executable, "-m", "pytest", "-v", "-c", os.devnull, "--rootdir", str(REPOSITORY), "--noconftest",
               "-p", "no:cacheprovider", "-k", "kernels_agree", str(tests)]  # fmt: skip
    report = options.out / "agreement.txt"
    with report.open("w") as file:
        code = subprocess.run(command, cwd=REPOSITORY, stdout=file, stderr=subprocess.STDOUT).returncode
    lines = report.read_text(encoding="utf-8").strip().splitlines() or [""]
    if code:
        raise RuntimeError(" ".join(line for line in lines if line.startswith("FAILED")) or lines[-1])
    return {"pytest": lines[-1].strip("= ")}


def configuration(row: Row, options: argparse.Namespace, *extra: str) -> Any:
    """The preset on random tokens, one process, without evaluation, samples or checkpoints."""
    from tuitrain.config import load_config

    preset, tiny = (TINY[row.preset], TINY_OVERRIDES) if options.tiny else (row.preset, ())
    changes = [*tiny, *row.overrides]
    data = random_tokens(options.out, load_config(preset, changes).model.vocab_size)
    changes += [
        f"data.source=bin:{data}", "data.bin_dtype=uint32", "data.tokenizer=byte", "data.max_tokens=none",
        f"train.micro_batch_size={row.micro}", f"train.global_batch_size={row.micro * row.accumulation}",
        "train.max_steps=1000000", "train.token_budget=none", "parallel.strategy=single", "eval.interval=0",
        "sampling.interval=0", *extra,
    ]  # fmt: skip
    return load_config(preset, changes)


def random_tokens(out: Path, vocab_size: int) -> Path:
    """A directory with a train.bin and a val.bin of random ids."""
    folder = (out / "tokens" / str(vocab_size)).resolve()
    if not folder.exists():
        folder.mkdir(parents=True)
        ids = np.random.default_rng(0).integers(vocab_size, size=TOKENS, dtype=np.uint32)
        ids.tofile(folder / "train.bin")
        ids[: TOKENS // 10].tofile(folder / "val.bin")
    return folder


MEASURES = {
    "clocks": measure_clocks, "steps": measure_steps, "nanogpt": measure_nanogpt, "run": measure_run,
    "agreement": measure_agreement,
}  # fmt: skip


def measure_here(options: argparse.Namespace) -> None:
    """In a row's own process: measure it and leave the result, or why there is none, in a file."""
    import torch

    options.on_cuda = torch.cuda.is_available()
    row = Row(**json.loads(options.measure))
    try:
        found = {"measured": MEASURES[row.kind](row, options)}
    except torch.OutOfMemoryError:
        found = {"out_of_memory": True, "error": f"out of memory with micro-batch {row.micro}"}
    except Exception as error:  # whatever one row fails with, the others are wanted
        found = {"error": " ".join(f"{type(error).__name__}: {error}".split())[:300]}
    options.result.write_text(json.dumps(found), encoding="utf-8")


# ── the rows, one after the other ────────────────────────────────────────────────────────────────────────


def run_row(row: Row, options: argparse.Namespace, limit_s: float) -> tuple[dict[str, Any], bool]:
    """What the row's process leaves, and whether it ran past its limit."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        command = [sys.executable, __file__, "--out", str(options.out), "--measure", json.dumps(asdict(row))]
        command += ["--result", str(result), "--seconds", str(options.seconds), *["--tiny"] * options.tiny]
        command += ["--nanogpt", str(options.nanogpt)] if options.nanogpt else []
        with (options.out / "console.log").open("a") as console:
            process = subprocess.Popen(command, stdout=console, stderr=console, start_new_session=True)
            try:
                code = process.wait(limit_s)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                return {"error": f"ran past {limit_s:.0f} s"}, True
        if result.exists():
            return json.loads(result.read_text(encoding="utf-8")), False
        return {"error": f"its process ended with {code}; console.log tells more"}, False


def run_all(results: Results, options: argparse.Namespace, deadline: float) -> None:
    """Run what the results lack, until the time is up."""
    rows = {row.name: row for row in ROWS if row.kind != "nanogpt" or options.nanogpt is not None}
    for row in map(rows.__getitem__, results.left([name for name in rows if not options.row or name in options.row])):
        earlier = results.rows.get(row.name)
        attempts = earlier.attempts + 1 if earlier and earlier.status == "died" else 1
        started, notes, found, late = time.monotonic(), [], dict[str, Any](), False
        if deadline - started < LEAST_S:
            print(f"Time is up before {row.name}; the same command goes on with it.")
            return
        results.set(row.name, Outcome("running", attempts))
        micro = 4 if options.tiny and row.micro > 4 else row.micro
        for size in (micro, micro // 2):
            here = Row(**{**asdict(row), "micro": size})
            left = deadline - time.monotonic()
            limit_s = row.limit_s * (TINY_PATIENCE if options.tiny else 1)
            found, late = run_row(here, options, min(limit_s - (time.monotonic() - started), left))
            notes += [found["error"]] if "error" in found else []
            if not found.get("out_of_memory") or size < 2:
                break
        cut_off = late and time.monotonic() >= deadline - 1
        status = "cut off" if cut_off else "done" if "measured" in found else "died"
        measured = found.get("measured", {})
        if row.kind == "clocks" and measured:
            results.facts |= {
                "date": f"{datetime.now(UTC):%Y-%m-%d}",
                "best bf16 product, TFLOP/s": measured["TFLOP/s"],
            }
            results.facts |= {key: measured.pop(key) for key in ("device", "torch", "python")}
        seconds = time.monotonic() - started
        results.set(row.name, Outcome(status, attempts, round(seconds, 1), "; ".join(notes), measured))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.md, gpu.json and what the run leaves")
    parser.add_argument("--nanogpt", type=Path, metavar="MODEL.PY", help="nanoGPT's model.py; without it no such row")
    parser.add_argument("--minutes", type=float, default=9.5, help="the time for all rows together")
    parser.add_argument("--row", action="append", choices=[row.name for row in ROWS], help="only this; may be repeated")
    parser.add_argument("--seconds", type=float, help="measured time of a row; default 6, with --tiny 0.3")
    parser.add_argument("--tiny", action="store_true", help="small shapes")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    parser.add_argument("--result", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.seconds = options.seconds or (0.3 if options.tiny else 6.0)
    return options


def main() -> None:
    """Measure, write and print the table."""
    options = parse()
    if options.measure:
        return measure_here(options)
    deadline = time.monotonic() + 60 * options.minutes
    for name in ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF"):
        os.environ.setdefault(name, "expandable_segments:True")
    paths = [str(REPOSITORY / part) for part in ("src", "engine", "tests")]
    os.environ["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [os.environ.get("PYTHONPATH")])])
    os.environ["TUITRAIN_CACHE_DIR"] = str((options.out / "cache").resolve())
    run_all(Results(options.out), options, deadline)
    shutil.rmtree(options.out / "tokens", ignore_errors=True)
    print(f"\n{(options.out / 'gpu.md').read_text(encoding='utf-8')}")
    return None


if __name__ == "__main__":
    main()
