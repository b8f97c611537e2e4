"""Findings of `tuitrain doctor` on this machine: what is wrong, and what to do about it."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import unprivileged
from tuitrain.launch.doctor import disk, engine, programs
from tuitrain.launch.doctor.disk import examine_directory, examine_speed
from tuitrain.launch.doctor.engine import EngineError, examine_engine
from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.doctor.machine import examine_machine, has_nvidia_card
from tuitrain.launch.doctor.slurm import examine_slurm

CUDA = {"torch": "2.13.0+cu128", "cuda": "12.8", "devices": 2, "problem": None, "nccl": "2.27.3"}
FAST = {"attention": {"math": None, "flash": None, "cudnn": "RuntimeError: No available kernel"}}
COMPILED = {"compile": {"problem": None, "seconds": 3.2}}
REDUCED = {"processes": 2, "bytes": 256 << 20, "seconds": 0.001, "gb_per_s": 268.0}


def findings(monkeypatch: pytest.MonkeyPatch, gpus: int, *facts: dict[str, Any]) -> dict[str, Finding]:
    """The findings of an engine that prints these facts; the last one is of the all-reduce, if it is reached."""

    def printed(words: list[str], patience_s: float) -> Iterator[dict[str, Any]]:
        yield from facts[-1:] if "--bandwidth" in words else facts[:-1]

    monkeypatch.setattr(engine, "_facts", printed)
    return {each.name: each for each in examine_engine(gpus)}


def test_a_machine_where_all_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(monkeypatch, 2, CUDA, FAST, COMPILED, REDUCED)
    assert {each.state for each in found.values()} == {"ok"}
    assert found["attention"].detail == "flash, math; without cudnn"
    assert found["all-reduce"].detail == "268.0 GB/s on each link: 268 MB among 2 GPUs in 1.0 ms"


@pytest.mark.parametrize(
    ("name", "gpus", "facts", "state", "words"),
    [
        ("CUDA", 1, CUDA | {"cuda": None, "devices": 0}, "wrong", "was built for the CPU only"),
        ("CUDA", 1, CUDA | {"devices": 0, "problem": "The driver is too old"}, "wrong", "The driver is too old"),
        ("CUDA", 8, CUDA, "warning", "finds 2 of 8 GPUs"),
        ("NCCL", 2, CUDA | {"nccl": None}, "wrong", "only one GPU can train"),
        ("attention", 2, {"attention": {"math": None, "flash": "no"}}, "warning", "math; without flash"),
        ("attention", 2, {"attention": {"math": "no"}}, "wrong", "no kernel trains"),
        ("compile", 2, {"compile": {"problem": "RuntimeError: no gcc", "seconds": 1.0}}, "warning", "no gcc"),
        ("all-reduce", 2, REDUCED | {"gb_per_s": 1.5}, "warning", "1.5 GB/s on each link"),
    ],
)
def test_what_is_wrong_has_a_fix(
    monkeypatch: pytest.MonkeyPatch, name: str, gpus: int, facts: dict[str, Any], state: str, words: str
) -> None:
    usual = [each if facts.keys().isdisjoint(each) else facts for each in (CUDA, FAST, COMPILED, REDUCED)]
    found = findings(monkeypatch, gpus, *usual)[name]
    assert (found.state, words in found.detail, bool(found.fix)) == (state, True, True), found


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'sbatch: error while loading libslurm.so.39: cannot open' >&2; exit 127", "cannot open"),
        ("exit 1", "exit code 1"),
        ("exec sleep 1000", "no answer within 0.2 s"),
    ],
)
def test_a_program_that_is_there_and_does_not_start_is_not_ok(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, said: str
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.delenv("CXX", raising=False)
    if "answer" in said:
        monkeypatch.setattr(programs, "PATIENCE_S", 0.2)
    for name in ("sbatch", "ssh", "c++"):
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    found = {each.name: each for each in examine_machine(tmp_path, quick=True)}
    for each in (found["Slurm"], found["SSH"], found["C++ compiler"], *examine_slurm()):
        assert each.state in ("warning", "wrong") and said in each.detail and each.fix


def test_what_works_says_its_version(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    (tmp_path / "sbatch").write_text("#!/bin/sh\n[ $1 = --version ] && echo slurm 23.11.4\n")
    (tmp_path / "sbatch").chmod(0o755)
    (slurm,) = (each for each in examine_machine(tmp_path, quick=True) if each.name == "Slurm")
    assert slurm.state == "ok" and slurm.detail.startswith("slurm 23.11.4: `tuitrain doctor --slurm`")


def test_an_engine_that_fails_or_hangs_is_a_finding() -> None:
    facts = engine._facts(["timeit", "-n1", "-r1", "-s", "print('no JSON')", "print('{\"a\": 1}')"], 60)
    assert next(facts) == {"a": 1}
    with pytest.raises(EngineError, match="ValueError: no"):
        list(engine._facts(["timeit", "raise ValueError('no')"], 60))
    with pytest.raises(EngineError, match="did not end within 0 s"):
        list(engine._facts(["timeit", "-n1", "-r1", "import time; time.sleep(1000)"], 0.2))


def test_a_disk_is_measured_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(disk, "MOST_BYTES", 4 << 20)
    found = examine_speed(tmp_path / "not" / "yet")
    assert "MB/s written with fsync" in found.detail and not list(tmp_path.iterdir())
    monkeypatch.setattr(disk, "_measured", lambda directory: (10.0, 100.0))
    assert "a checkpoint of 10 GB takes 17 min" in examine_speed(tmp_path).fix
    monkeypatch.setattr(disk, "LEAST_GB", 1e9)
    assert examine_directory("runs", tmp_path, "TUITRAIN_RUNS_DIR").state == "warning"


def test_a_directory_that_cannot_be_written_prevents_training(tmp_path: Path) -> None:
    (tmp_path / "shut").mkdir(mode=0o500)
    program = (
        "from pathlib import Path; from tuitrain.launch.doctor.disk import examine_directory;"
        f"print(examine_directory('runs', Path({str(tmp_path / 'shut' / 'runs')!r}), 'TUITRAIN_RUNS_DIR').state)"
    )
    done = subprocess.run(unprivileged(sys.executable, "-c", program), capture_output=True, text=True)
    assert done.stdout == "wrong\n", done.stderr


def test_a_card_without_a_driver_is_found_on_the_bus(tmp_path: Path) -> None:
    for name, vendor, kind in (("a", "0x8086", "0x030000"), ("b", "0x10de", "0x040300")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "vendor").write_text(vendor + "\n")
        (tmp_path / name / "class").write_text(kind + "\n")
    assert not has_nvidia_card(tmp_path)
    (tmp_path / "b" / "class").write_text("0x030200\n")
    assert has_nvidia_card(tmp_path)


@pytest.mark.parametrize(("cells", "state"), [(3, "ok"), (6, "warning")])
def test_a_terminal_says_how_wide_its_characters_are(cells: int, state: str) -> None:
    """A terminal that answers the question about its cursor."""
    program = (
        "from tuitrain.launch.doctor.terminal import examine_terminal\n"
        "for each in examine_terminal(): print(each.name, each.state, each.detail, each.fix)"
    )
    pid, terminal = pty.fork()
    if not pid:
        variables = {"TERM": "xterm-256color", "COLORTERM": "truecolor", "LC_ALL": "C.UTF-8", "COLUMNS": "60"}
        environment = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "LINES")}
        os.execve(sys.executable, [sys.executable, "-c", program], environment | variables)
    shown = b""
    try:
        while part := os.read(terminal, 1024):
            shown += part
            if part.endswith(b"\x1b[6n"):
                os.write(terminal, f"\x1b[1;{cells + 1}R".encode())
    except OSError:  # it has ended
        pass
    os.waitpid(pid, 0)
    os.close(terminal)
    text = shown.decode()
    assert f"characters {state}" in text
    assert "colours ok 24-bit" in text
    assert "terminal warning 60×" in text and "at least 80×24" in text
