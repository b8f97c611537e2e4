"""Speed, utilisation and memory of the engine on one GPU, beside the GPU's own best matrix product and nanoGPT.

    python bench/gpu.py --out DIR [--nanogpt NANOGPT_CHECKOUT] [--minutes 10] [--preset NAME …] [KEY=VALUE …]
    python bench/gpu.py --out DIR --tiny          # the same on small shapes: proves on a CPU that the script works

Each preset is stepped by the engine's own train_step on random tokens: with each attention backend, with and without
compilation, with and without telemetry (pair by pair on one model). DIR/gpu.md and DIR/gpu.json are written anew after
each row, so that a run that is cut off leaves what it has; started again with the same DIR it goes on where it was.
A row that runs out of memory is tried once more with half the micro-batch; what cannot run says why in its row.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import io
import json
import os
import platform
import statistics
import tempfile
import textwrap
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common import interleaved, median_ratio, print_table, steps_of, synchronise, temporary_trainer, time_steps
from nanogpt import NanoGPT
from telemetry import bare_step
from tuitrain import accounting, events
from tuitrain.config import ConfigError, RunConfig, load_config
from tuitrain_engine.data import Prefetcher
from tuitrain_engine.trainer import Trainer, batch_positions

# Sequences of a micro-batch that fit 139 GB with room to spare.
MICRO_BATCH = {"gpt2-124m": 32, "qwen3-0.6b": 8, "qwen3-1.8b": 16, "llama3-2.2b": 12}
TINY = {"gpt2-tiny": 8, "qwen3-tiny": 8, "llama3-tiny": 8}
BACKENDS = ("flash", "cudnn", "efficient", "flex")
HEADER = (
    "preset", "attention", "compile", "telemetry", "batch", "tokens/s", "TFLOP/s", "MFU", "MFU causal", "of product",
    "peak GB", "note",
)  # fmt: skip
TOKENS = 4_000_000
PAIRS = 6


@dataclass(frozen=True)
class Case:
    """What one row measures."""

    preset: str
    attention: str = "auto"
    compiled: bool = True


Work = Callable[[Case, int], "list[Row]"]
"""A case and its micro-batch -> what was measured."""


@dataclass(frozen=True)
class Row:
    """What was measured; None where there is nothing to tell. note: a ratio, or why there is no number."""

    preset: str
    attention: str
    compiled: bool
    telemetry: bool
    batch: str = ""
    tokens_per_sec: float | None = None
    tflops: float | None = None
    mfu: float | None = None
    mfu_causal: float | None = None
    peak_gb: float | None = None
    note: str = ""


class Results:
    """The table, kept on disk."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.facts: dict[str, Any] = {}
        self.rows: list[Row] = []
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "gpu.json").exists():
            kept = json.loads((folder / "gpu.json").read_text(encoding="utf-8"))
            self.facts, self.rows = kept["facts"], [Row(**row) for row in kept["rows"]]

    def has(self, case: Case) -> bool:
        """Whether an earlier run has measured this."""
        key = (case.preset, case.attention, case.compiled)
        return any((row.preset, row.attention.split(" ")[0], row.compiled) == key for row in self.rows)

    def add(self, row: Row) -> None:
        """Take a row and write everything."""
        self.rows.append(row)
        print("  ".join(cell for cell in self.cells(row) if cell), flush=True)
        self.write()

    def write(self) -> None:
        """Write both files."""
        kept = {"facts": self.facts, "rows": [asdict(row) for row in self.rows]}
        self._replace("gpu.json", json.dumps(kept, indent=1))
        lines = [f"- {key}: {value}" for key, value in self.facts.items()]
        table = [HEADER, ["---"] * len(HEADER), *(self.cells(row) for row in self.rows)]
        lines += ["", *("| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |" for cells in table)]
        self._replace("gpu.md", "\n".join(lines) + "\n")

    def _replace(self, name: str, text: str) -> None:
        half = self._folder / f"{name}.partial"
        half.write_text(text, encoding="utf-8")
        half.replace(self._folder / name)

    def cells(self, row: Row) -> list[str]:
        """A row as text."""
        product = self.facts.get("best bf16 product, TFLOP/s")
        share = row.tflops / product if row.tflops and product else None
        return [
            row.preset, row.attention, "on" if row.compiled else "off", "on" if row.telemetry else "off", row.batch,
            _number(row.tokens_per_sec, ",.0f"), _number(row.tflops, ".4g"), _number(row.mfu, ".1%"),
            _number(row.mfu_causal, ".1%"), _number(share, ".1%"), _number(row.peak_gb, ".1f"), row.note,
        ]  # fmt: skip


def _number(value: float | None, form: str) -> str:
    return "n/a" if value is None else format(value, form)


# ── what is measured ─────────────────────────────────────────────────────────────────────────────────────


def best_product(tiny: bool) -> tuple[float, str]:
    """TFLOP/s and shape of the fastest bf16 matrix product of a sweep."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    sizes = (256, 512) if tiny else (4096, 8192, 12288, 16384)
    shapes = [(n, n, n) for n in sizes] + ([] if tiny else [(32768, 2048, 6144), (32768, 6144, 2048)])
    speeds = {}
    for m, k, n in shapes:
        a, b = (torch.randn(shape, device=device, dtype=torch.bfloat16) for shape in ((m, k), (k, n)))
        product = lambda a=a, b=b: a @ b  # noqa: E731
        time_steps(product, 5)
        seconds = statistics.median(time_steps(product, 10) for _ in range(5))
        speeds[m, k, n] = 2 * m * k * n / seconds / 1e12
    best = max(speeds, key=lambda shape: speeds[shape])
    return speeds[best], " × ".join(map(str, best))


def configuration(case: Case, micro: int, accumulation: int, options: argparse.Namespace) -> RunConfig:
    """The preset on random tokens, one process, no evaluation, samples or checkpoints."""
    data = random_tokens(options.scratch, vocabulary(case.preset))
    return load_config(
        case.preset,
        [
            f"data.source=bin:{data}", "data.bin_dtype=uint32", "data.tokenizer=byte", "data.max_tokens=none",
            f"train.micro_batch_size={micro}", f"train.global_batch_size={micro * accumulation}",
            "train.max_steps=1000000", "train.token_budget=none", f"train.compile={str(case.compiled).lower()}",
            f"model.attention_backend={case.attention}", "parallel.strategy=single", "eval.interval=0",
            "sampling.interval=0", *options.overrides,
        ],
    )  # fmt: skip


def vocabulary(preset: str) -> int:
    """Rows of the preset's embedding."""
    size = load_config(preset).model.vocab_size
    assert size is not None
    return size


def random_tokens(scratch: Path, vocab_size: int) -> Path:
    """A directory with a train.bin and a val.bin of random ids."""
    folder = scratch / str(vocab_size)
    if not folder.exists():
        folder.mkdir()
        ids = np.random.default_rng(0).integers(vocab_size, size=TOKENS, dtype=np.uint32)
        ids.tofile(folder / "train.bin")
        ids[: TOKENS // 20].tofile(folder / "val.bin")
    return folder


def measure(case: Case, micro: int, options: argparse.Namespace) -> list[Row]:
    """The engine's speed; for the first case of a preset also the speed without telemetry."""
    config = configuration(case, micro, options.accumulation, options)
    with temporary_trainer(config) as trainer, steps_of(trainer) as step:
        chosen = attention_of(trainer)
        attention = case.attention if chosen == case.attention else f"{case.attention} ({chosen})"
        batch = f"{micro} × {options.accumulation}"
        note = "" if trainer.compiled == case.compiled else "not compiled: nothing here to compile with"
        row = Row(case.preset, attention, case.compiled, telemetry=True, batch=batch, note=note)
        count = settle(step, options.seconds)
        rows = [rated(row, trainer, statistics.median(time_steps(step, count) for _ in range(3)))]
        if torch.cuda.is_available():
            rows = [replace(rows[0], peak_gb=torch.cuda.max_memory_allocated() / 1e9)]
        if case == Case(case.preset):
            with Prefetcher(trainer.dataset.train, batch_positions(trainer), trainer.machine.device) as batches:
                without = bare_step(trainer, batches)
                settle(without, 0)
                pairs = interleaved(step, without, PAIRS, max(count // 2, 1))
            bare = rated(replace(row, telemetry=False), trainer, statistics.median(pair[1] for pair in pairs))
            rows.append(replace(bare, note=f"telemetry costs {median_ratio(pairs) - 1:+.2%}, median of {PAIRS} pairs"))
    return rows


def against_nanogpt(preset: str, micro: int, options: argparse.Namespace) -> list[Row]:
    """nanoGPT's model of the same shape, stepped as its train.py does, pair by pair with ours."""
    config = configuration(Case(preset), micro, 1, options)
    model = config.model
    # Its train.py rounds GPT-2's 50,257 up; ids stay below both.
    vocab_size = -(-vocabulary(preset) // 64) * 64
    shape = {"n_layer": model.n_layers, "n_head": model.n_heads, "n_embd": model.d_model, "block_size": model.seq_len}
    ids = np.fromfile(random_tokens(options.scratch, vocabulary(preset)) / "train.bin", dtype=np.uint32)
    every = config.telemetry.log_interval
    with temporary_trainer(config) as trainer, steps_of(trainer) as ours:
        theirs = NanoGPT(options.nanogpt, ids, vocab_size, 10**6, True, every, shape, micro)
        settle(ours, 0)
        count = settle(theirs.step, options.seconds)
        pairs = interleaved(theirs.step, ours, PAIRS, max(count // 2, 1))
        note = f"tuitrain is {median_ratio(pairs):.2f} × as fast, median of {PAIRS} pairs"
        row = Row("nanoGPT", f"as {preset}", compiled=True, telemetry=True, batch=f"{micro} × 1", note=note)
        return [rated(row, trainer, statistics.median(pair[0] for pair in pairs))]


def settle(step: Callable[[], None], seconds: float) -> int:
    """Steps that are not counted, and how many of them take about `seconds`."""
    for _ in range(3):
        step()
    return max(round(seconds / 3 / time_steps(step, 2)), 2)


def rated(row: Row, trainer: Trainer, seconds: float) -> Row:
    """The row with what a step of so many seconds amounts to."""
    flops, peak = accounting.flops_per_token(trainer.config.model), trainer.machine.peak_tflops
    speed = trainer.config.tokens_per_step / seconds
    return replace(
        row,
        tokens_per_sec=speed,
        tflops=accounting.achieved_tflops(speed, flops.full, 1),
        mfu=accounting.mfu(speed, flops.full, 1, peak),
        mfu_causal=accounting.mfu(speed, flops.causal, 1, peak),
    )


def attention_of(trainer: Trainer) -> str:
    """The backend that the `run` record names."""
    first = (trainer.run_dir / "metrics.jsonl").read_bytes().splitlines()[0]
    record = events.decode(first)
    assert isinstance(record, events.Run)
    return str(record.attention_backend)


# ── the rows, one after the other ────────────────────────────────────────────────────────────────────────


def attempt(case: Case, micro: int, work: Work) -> list[Row]:
    """The rows of a case, or one that says why there is none. Out of memory: once more with half the micro-batch."""
    note = ""
    for sequences in (micro, micro // 2):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                rows = work(case, sequences)
        except torch.OutOfMemoryError:
            note = f"out of memory with micro-batch {sequences}"
        except Exception as error:  # whatever one row fails with, the others are wanted
            kind = "" if isinstance(error, ConfigError) else f"{type(error).__name__}: "
            note = " ".join(f"{kind}{error}".split())[:200]
            break
        else:
            return [replace(row, note="; ".join(filter(None, (row.note, note)))) for row in rows]
        finally:
            release_memory()
    return [Row(case.preset, case.attention, case.compiled, telemetry=True, note=note)]


def release_memory() -> None:
    """Let the next row start with an empty device and its own peak."""
    torch._dynamo.reset()
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def cases(presets: list[str]) -> list[Case]:
    """The most telling first: each preset as it comes, then its backends, then without compilation."""
    first = [Case(preset) for preset in presets]
    backends = [Case(preset, backend) for backend in BACKENDS for preset in presets]
    return [*first, *backends, *(Case(preset, compiled=False) for preset in presets)]


def facts_of(options: argparse.Namespace) -> dict[str, Any]:
    """What the numbers were measured on, and with which settings."""
    speed, shape = best_product(options.tiny)
    release_memory()
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else f"{platform.machine()} CPU",
        "torch": torch.__version__,
        "python": platform.python_version(),
        "best bf16 product, TFLOP/s": round(speed, 2),
        "its shape": shape,
        "overrides": " ".join(options.overrides) or "none",
    }


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.md and gpu.json")
    parser.add_argument("--nanogpt", type=Path, help="a checkout of nanoGPT")
    parser.add_argument("--minutes", type=float, default=30, help="start no row that may end later than this")
    parser.add_argument("--preset", action="append", help="only these; may be repeated")
    parser.add_argument("--micro", action="append", default=[], metavar="PRESET=N", help="another micro-batch")
    parser.add_argument("--accumulation", type=int, default=1, help="micro-batches of a step")
    parser.add_argument("--seconds", type=float, default=6, help="measured time of a row")
    parser.add_argument("--tiny", action="store_true", help="small shapes")
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="for every row; needs a folder of its own")
    return parser.parse_args()


def main() -> None:
    """Measure, write and print the table."""
    options, started = parse(), time.monotonic()
    results = Results(options.out)
    if not results.facts:
        results.facts = facts_of(options)
        results.write()
    for key, value in results.facts.items():
        print(f"{key}: {value}", flush=True)
    with tempfile.TemporaryDirectory() as scratch:
        options.scratch = Path(scratch)
        os.environ["TUITRAIN_CACHE_DIR"] = scratch
        run(results, options, started + 60 * options.minutes)
    print()
    shown = [results.cells(row) for row in results.rows]
    print_table(list(HEADER), [[*cells[:-1], textwrap.shorten(cells[-1], 70)] for cells in shown])


def run(results: Results, options: argparse.Namespace, deadline: float) -> None:
    """Measure what the results lack, until the time is up."""
    micro = dict(TINY if options.tiny else MICRO_BATCH)
    micro |= {name: int(number) for name, _, number in (text.partition("=") for text in options.micro)}
    presets = options.preset or list(TINY if options.tiny else MICRO_BATCH)
    work: list[tuple[Case, Work]] = [(case, partial(measure, options=options)) for case in cases(presets)]
    if options.nanogpt:
        shape = presets[0]
        micro["nanoGPT"] = micro[shape]
        theirs: Work = lambda case, sequences: against_nanogpt(shape, sequences, options)  # noqa: E731
        work.insert(1, (Case("nanoGPT", "as"), theirs))
    work = [(case, function) for case, function in work if not results.has(case)]
    longest = 0.0
    for index, (case, function) in enumerate(work):
        began = time.monotonic()
        if began + longest > deadline:
            print(f"Time is up: {len(work) - index} cases are left; the same command goes on with them.")
            return
        for row in attempt(case, micro[case.preset], function):
            results.add(row)
        # After an error that a device does not recover from, this ends the run: the next one goes on.
        synchronise()
        longest = max(longest, time.monotonic() - began)


if __name__ == "__main__":
    main()
