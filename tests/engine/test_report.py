"""The engine's console: no control sequences of data, and how the end is said."""

from __future__ import annotations

import io

import pytest
from tests.support import run_record
from tests.terminal import obeyed

from tuitrain import events
from tuitrain.config import load_config
from tuitrain_engine.decision import Decision
from tuitrain_engine.report import Console, Terminal, startup_report, summary_text

HOSTILE = "seen \x1b]52;c;cm0=\x07\x1b[2J\x1b[5;41m\x9b5;41m\x1bPq\x1b\\\u202e\u2028\x85\x07\x08\x7f\ud83d"


@pytest.mark.parametrize("colour", [False, True])
def test_the_console_holds_no_foreign_control_sequence(colour: bool) -> None:
    stream = io.StringIO()
    terminal = Terminal(stream, colour, None)
    config = load_config("llama2-tiny", ("model.vocab_size=256",))
    run = run_record(config, HOSTILE, at=0.0)
    assert run.architecture is not None and run.hardware is not None
    run.architecture.name = run.hardware.device = run.attention_backend = run.dtype = HOSTILE
    decision = Decision("device", HOSTILE, HOSTILE)
    terminal.print(startup_report(run, config, 1000, [f"{HOSTILE}  {HOSTILE}"], [decision], terminal))
    console = Console(10, terminal)
    console.note("note", HOSTILE)
    for record in (
        events.Sample(time=0.0, step=1, prompt=HOSTILE, text=HOSTILE),
        events.Checkpoint(time=0.0, step=1, path=HOSTILE),
        events.Alert(time=0.0, level="critical", code="x", message=HOSTILE),
        events.Control(time=0.0, request=HOSTILE, result=HOSTILE),
    ):
        console.show(record)
    terminal.print(summary_text(events.End(time=0.0, status="failed", reason=HOSTILE), HOSTILE, terminal))
    written = stream.getvalue()
    assert written.count("seen") >= 12
    assert "\x1b[5;41m" not in written
    assert "\x1b[2J" not in written
    assert obeyed(written.encode()) == []
    assert ("\x1b[" in written) == colour


@pytest.mark.parametrize(
    ("status", "reason", "said"),
    [
        ("stopped", "stopped by SIGINT (Ctrl-C)", "stopped by SIGINT (Ctrl-C)"),
        ("failed", "The loss is nan.", "failed: The loss is nan."),
        ("completed", None, "completed"),
    ],
)
def test_the_end_is_said_with_its_reason_once(status: str, reason: str | None, said: str) -> None:
    end = events.End(time=0.0, status=status, reason=reason)
    assert said in [
        line.strip() for line in summary_text(end, "run", Terminal(io.StringIO(), False, None)).splitlines()
    ]
