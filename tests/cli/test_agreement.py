"""Whatever a log holds, every command shows the same numbers, and those that follow from the order of its records."""

from __future__ import annotations

import json
import math
import re
import socket
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from tuitrain.analysis.compare import compare_runs
from tuitrain.cli.run_view import full_json, run_json, status_line
from tuitrain.export.comparison import comparison_document
from tuitrain.export.metrics import export_metrics
from tuitrain.export.tables import as_dict
from tuitrain.runs import (
    LogFollower,
    RunDirectory,
    RunHistory,
    RunMetadata,
    SnapshotReader,
    load_history,
    read_snapshot,
)
from tuitrain.runs.log_ends import HEAD_BYTES, TAIL_BYTES
from tuitrain.runs.snapshot import with_history
from tuitrain.runs.updates import UpdatedRun
from tuitrain.tui.content.headline import header
from tuitrain.tui.frame import render_frame, view_of
from tuitrain.tui.text import plain
from tuitrain.tui.view_state import ViewState

Line = dict[str, Any]
KEYS = ("loss", "tokens", "mfu", "tokens_per_sec")
BROKEN = (b'{"type":"step","step":"x"}', b"rubbish", b'{"type":"eval","step":{}}', b"\xff", b'{"type":"step","step":1')


@dataclass(frozen=True)
class Attempt:
    """What one start of a program writes."""

    back: int
    """How far before the newest step it begins."""
    steps: int
    every: int
    evaluate_first: bool
    splits: tuple[str, ...]
    fingerprint: str | None
    clock: float
    staged: bool
    announced: bool
    end: str | None


attempts = st.builds(
    Attempt,
    back=st.integers(0, 30),
    steps=st.integers(0, 40),
    every=st.integers(1, 9),
    evaluate_first=st.booleans(),
    splits=st.lists(st.sampled_from(["val", "train", "wiki", "code"]), max_size=3, unique=True).map(tuple),
    fingerprint=st.sampled_from([None, "a", "b"]),
    clock=st.sampled_from([0.0, 3600.0, -3600.0]),
    staged=st.booleans(),
    announced=st.booleans(),
    end=st.sampled_from([None, "completed", "stopped"]),
)


def records(tries: list[Attempt], rates: dict[str, int], seed: int) -> Iterator[Line | bytes]:
    """The lines of a log. rates: of each key of a step, how many records in ten lack it, and of broken lines too."""
    random, newest, number = np.random.default_rng(seed), 0, 0
    time = 1.7e9
    for attempt in tries:
        first = max(newest - attempt.back, 0) + 1
        time += attempt.clock
        if attempt.staged:
            yield {"type": "stage", "time": time, "stage": "reading data"}
        if attempt.announced:
            number += 1
            yield {
                "type": "run",
                "time": time,
                "run_id": "a",
                "name": "a",
                "attempt": number,
                "total_steps": 99 + number,
            }
        for step in range(first, first + attempt.steps):
            time += 1.0
            loss = float(random.choice([math.nan, *(4 - step / 100 + random.random() for _ in range(9))]))
            values = {"loss": loss, "tokens": 10 * step, "mfu": 0.4 + step / 1000, "tokens_per_sec": 1000.0 + step}
            known = {key: value for key, value in values.items() if random.integers(10) >= rates[key]}
            made: list[Line] = [{"type": "step", "time": time, "step": step, **known}]
            if step % attempt.every == 0:
                about = {"time": time, "step": step, "split_fingerprint": attempt.fingerprint, "perplexity": 7.0}
                made += [
                    {"type": "eval", **about, "split": split, "loss": 5 * float(random.random())}
                    for split in attempt.splits
                ]
            yield from made[1:] + made[:1] if attempt.evaluate_first else made
            newest = step
            if random.integers(20) < rates["broken"]:
                yield BROKEN[random.integers(len(BROKEN))]
        if attempt.end is not None:
            yield {"type": "end", "time": time, "status": attempt.end, "reason": "a reason"}


def write(run: RunDirectory, lines: list[Line | bytes], width: int, torn: bytes) -> None:
    """The log, its lines at least so wide, and what a launcher notes of the newest attempt."""
    run.path.mkdir()
    data, launched = b"", 0
    for line in lines:
        if isinstance(line, dict):
            launched = len(data) if line["type"] == "run" else launched
            line = json.dumps(line | {"padding": "x" * width}).encode()
        data += line + b"\n"
    run.metrics.write_bytes(data + torn)
    # Of a process that cannot be asked, or of one that is gone.
    pid, host = (2**22 + 1, socket.gethostname()) if len(lines) % 2 else (None, None)
    run.write_metadata(RunMetadata(name="a", created=1.7e9, started=1.7e9, log_bytes=launched, pid=pid, host=host))


def expected(lines: list[Line | bytes]) -> tuple[float | None, float | None]:
    """Newest and best validation loss by their definition, looking at every pair of records."""
    known = [line for line in lines if isinstance(line, dict)]
    passes, number, last = [], 0, None
    for line in known:
        if line["type"] in ("run", "end"):
            number, last = number + 1, None
        elif line["type"] == "step":
            number += last is not None and line["step"] < last
            last = line["step"]
        passes.append(number)

    def superseded(at: int) -> bool:
        return any(
            later["step"] <= known[at]["step"]
            and (
                (later["type"] == "step" and passes[behind] > passes[at])
                or (later["type"] == "eval" and later["split"] == known[at]["split"])
            )
            for behind, later in enumerate(known)
            if behind > at and later["type"] in ("step", "eval")
        )

    kept = [line for at, line in enumerate(known) if line["type"] == "eval" and not superseded(at)]
    seen = dict.fromkeys(line["split"] for line in known if line["type"] == "eval")
    splits = [split for split in seen if any(line["split"] == split for line in kept)]
    if not splits:
        return None, None
    chosen = "val" if "val" in splits else next((split for split in splits if split != "train"), splits[0])
    ours = [line for line in kept if line["split"] == chosen]
    alike = [line["loss"] for line in ours if line["split_fingerprint"] == ours[-1]["split_fingerprint"]]
    return ours[-1]["loss"], min(alike)


def same(values: dict[str, Any]) -> bool:
    """Whether all the commands say the same; `values` is by command."""
    told = {json.dumps(value) for value in values.values()}
    assert len(told) == 1, values
    return True


def metric_of(document: dict[str, Any], key: str) -> float | None:
    return next((row["values"]["a"] for row in document["metrics"] if row["key"] == key), None)


def exported(history: RunHistory, path: Path) -> dict[str, float | None]:
    """The last value of each column of the exported metrics."""
    if not len(history.steps) and not history.splits:
        return {}
    export_metrics(history, "jsonl", path)
    words = {"nan": math.nan}
    found: dict[str, float | None] = {}
    for line in path.read_text().splitlines():
        found |= {key: words.get(value, value) for key, value in json.loads(line).items()}
    return found


def number(text: str, pattern: str) -> str | None:
    found = re.search(pattern, text)
    return found[1] if found else None


def shown(value: float | None, digits: int) -> str | None:
    return None if value is None else f"{value:.{digits}f}"


LONG = Attempt(0, 40, 9, False, ("val", "train"), "a", 0.0, False, True, None)
RATES = {"loss": 0, "tokens": 0, "mfu": 0, "tokens_per_sec": 0, "broken": 0}


@example([LONG, LONG, replace(LONG, back=25, steps=3, splits=())], RATES, 0, 3000, b"")
@example([LONG, replace(LONG, clock=-3600.0, end="completed")], RATES, 0, 0, b'{"type":"st')
@given(
    tries=st.lists(attempts, max_size=5),
    rates=st.fixed_dictionaries({key: st.sampled_from([0, 0, 3, 10]) for key in KEYS} | {"broken": st.integers(0, 3)}),
    seed=st.integers(0, 2**32 - 1),
    width=st.sampled_from([0, 0, 1500, 4000]),
    torn=st.sampled_from([b"", b'{"type":"step","step":7,']),
)
def test_all_commands_show_the_same_numbers(
    tries: list[Attempt], rates: dict[str, int], seed: int, width: int, torn: bytes
) -> None:
    lines = list(records(tries, rates, seed))
    with tempfile.TemporaryDirectory() as directory:
        run = RunDirectory(Path(directory) / "a")
        write(run, lines, width, torn)
        whole = run.metrics.read_bytes()
        snapshot_reader = SnapshotReader()
        run.metrics.write_bytes(whole[: len(whole) // 2])
        snapshot_reader.read(run)
        with run.metrics.open("ab") as log:
            log.write(whole[len(whole) // 2 :])
        seen, history = read_snapshot(run), load_history(run)
        view = view_of(run, 0)
        update = UpdatedRun(run, LogFollower(run.metrics)).read_update()
        top = "\n".join(plain(line) for line in header(ViewState([view]), 300))
        frame = render_frame([run], 300, 40, False)
        read_on, ls = run_json(snapshot_reader.read(run)), run_json(seen)
        show = full_json(with_history(seen, history), history)
        compare = as_dict(compare_runs([("a", history)]))
        final = comparison_document([(run, history)])["runs"][0]
        metrics = exported(history, run.path / "metrics.out")

    summary, newest, ends = show["summary"], show["newest"], final["final_metrics"]
    val_loss, best = expected(lines)
    assert same({
        "definition": val_loss, "ls": ls["val_loss"], "read on": read_on["val_loss"], "show": show["val_loss"],
        "summary": summary["final_val_loss"], "compare": metric_of(compare, "final_val_loss"),
        "export comparison": ends.get("final_val_loss"), "export metrics": metrics.get("val_loss"),
        "evaluations": next((each["final"] for each in show["evaluations"].values()), None),
    })  # fmt: skip
    assert same({
        "definition": best, "show": summary["best_val_loss"], "compare": metric_of(compare, "best_val_loss"),
        "export comparison": ends.get("best_val_loss"),
        "evaluations": next((each["best"] for each in show["evaluations"].values()), None),
    })  # fmt: skip
    assert same({
        "ls": ls["loss"], "read on": read_on["loss"], "show": newest.get("loss"), "summary": summary["last_loss"],
        "compare": metric_of(compare, "last_loss"), "export comparison": ends.get("final_train_loss"),
        "export metrics": metrics.get("loss"),
    })  # fmt: skip
    assert same({
        "ls": ls["step"], "read on": read_on["step"], "show": newest["step"], "summary": summary["step"],
        "export comparison": ends.get("final_iteration"),
    })  # fmt: skip
    assert same({
        "ls": ls["tokens"], "read on": read_on["tokens"], "show": newest["tokens"], "summary": summary["total_tokens"],
        "export comparison": ends.get("total_trained_tokens"),
    })  # fmt: skip
    for key in ("mfu", "tokens_per_sec"):
        assert same({"ls": ls[key], "read on": read_on[key], "show": newest.get(key)})
    assert same({"ls": ls["total_steps"], "read on": read_on["total_steps"], "show": summary["total_steps"]})
    assert same(
        {
            "ls": ls["status"],
            "read on": read_on["status"],
            "show": show["status"],
            "watch --once": str(view.status),
            "watch": update and str(update.status),
        }
    )
    assert summary["attempts"] == sum(isinstance(line, dict) and line["type"] == "run" for line in lines)
    broken = sum(isinstance(line, bytes) for line in lines)
    assert same({"log": broken, "show": show["broken_lines"], "compare": compare["broken_lines"]["a"],
                 "export comparison": final["broken_lines"]})  # fmt: skip
    assert ls["broken_lines"] == broken if ls["every_line_read"] else ls["broken_lines"] <= broken
    assert ls["every_line_read"] or len(whole) > HEAD_BYTES + TAIL_BYTES
    assert frame.splitlines()[0].strip() == top.splitlines()[0].strip()
    line = status_line(seen)
    assert number(line, r"  val (\S+)") == shown(val_loss, 4)
    if ls["step"] is not None:
        assert number(line, r"step ([\d,]+)") == number(top, r"step ([\d,]+)") == f"{ls['step']:,}"
        assert number(top, r" val (\S+)") == shown(val_loss, 3)
        assert (number(top, r"loss (\S+)") or "n/a") == (shown(ls["loss"], 3) or "n/a")
