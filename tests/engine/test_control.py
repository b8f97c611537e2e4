"""Requests left in the run directory."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.events.requests import REQUESTED, write_request
from tuitrain_engine.control import ORIGINS, POLL_INTERVAL_S, REQUESTS, SIGNALS, Control, from_number, to_number


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_request_is_read_once_and_its_file_is_deleted(tmp_path: Path) -> None:
    clock = Clock()
    control = Control(tmp_path, clock)
    (tmp_path / "control" / "eval").touch()
    assert control.poll() == {"eval": REQUESTED}
    assert not (tmp_path / "control" / "eval").exists()
    clock.now += POLL_INTERVAL_S
    assert control.poll() == {}


def test_the_directory_is_read_at_most_once_per_interval(tmp_path: Path) -> None:
    clock = Clock()
    control = Control(tmp_path, clock)
    control.poll()
    (tmp_path / "control" / "stop").touch()
    clock.now += POLL_INTERVAL_S / 2
    assert control.poll() == {}
    clock.now += POLL_INTERVAL_S
    assert control.poll() == {"stop": REQUESTED}


def test_a_request_made_before_the_start_counts_and_other_files_are_kept(tmp_path: Path) -> None:
    directory = tmp_path / "control"
    directory.mkdir()
    for name in ("checkpoint", "notes.txt"):
        (directory / name).touch()
    assert Control(tmp_path, Clock()).poll() == {"checkpoint": REQUESTED}
    assert [path.name for path in directory.iterdir()] == ["notes.txt"]


def test_a_stop_may_say_why(tmp_path: Path) -> None:
    control = Control(tmp_path, Clock())
    write_request(tmp_path, "stop", "it is the worst\x1b[31m of four\n")
    assert [path.name for path in control.directory.iterdir()] == ["stop"]
    assert control.poll() == {"stop": REQUESTED}
    assert control.stop_reason == "it is the worst of four␊"


def test_only_the_main_process_reads_request_files(tmp_path: Path) -> None:
    control = Control(tmp_path, Clock(), reads_files=False)
    (tmp_path / "control" / "stop").touch()
    assert control.poll() == {}
    assert (tmp_path / "control" / "stop").exists()


@given(st.dictionaries(st.sampled_from(REQUESTS), st.sampled_from(ORIGINS)))
def test_requests_survive_conversion_to_float32(requests: dict[str, str]) -> None:
    number = to_number(requests)
    assert number < 2**24
    assert from_number(number) == requests


@pytest.mark.parametrize("ignored", [False, True], ids=["plain", "nohup"])
def test_signals_are_requests_and_an_ignored_hangup_stays_ignored(tmp_path: Path, ignored: bool) -> None:
    before = {name: signal.getsignal(signal.Signals[name]) for name in SIGNALS}
    try:
        if ignored:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)
        control = Control(tmp_path, Clock())
        control.listen()
        control.wait_for_boundaries()
        for name, request in SIGNALS.items():
            signal.raise_signal(signal.Signals[name])
            assert control.poll() == ({} if ignored and name == "SIGHUP" else {request: name})
    finally:
        for name, handler in before.items():
            signal.signal(signal.Signals[name], handler)


def test_a_stop_request_can_be_checked_without_consuming_it(tmp_path: Path) -> None:
    control = Control(tmp_path, Clock())
    assert control.stop_origin() is None
    (tmp_path / "control" / "stop").touch()
    assert control.stop_origin() == control.stop_origin() == REQUESTED
    assert control.poll() == {"stop": REQUESTED}
    assert control.stop_origin() is None
