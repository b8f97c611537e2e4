"""Another machine, through `ssh`: what reading runs, starting runs and training need there."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator

from tuitrain import __version__
from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.host.machine import RemoteMachine, probe
from tuitrain.launch.host.start import RemoteDirectory, run_tuitrain
from tuitrain.remote.address import AddressError
from tuitrain.remote.connection import RemoteError
from tuitrain.remote.hosts import host_address
from tuitrain.remote.script import ScriptError, run_script

READING = ("find", "dd", "tail", "head", "ls")
"""Programs that reading a run needs there."""
SLOW_S = 2.0
"""Of a new connection."""
LEAST_GB = 20.0
"""Free for runs and their checkpoints."""
MOST_SKEW_S = 30.0
_OF_HERE = ("python", "tuitrain", "terminal", "runs")
"""Findings of `tuitrain doctor` there that this report has itself, or that are about its terminal."""
_MORE = r"""
for t in READING; do command -v $t >/dev/null || echo "lacks.$t"; done
echo "time $(date +%s)"
d=$1; while [ ! -d "$d" ]; do case $d in */*) d=${d%/*}; [ -n "$d" ] || d=/;; *) d=.;; esac; done
if [ -w "$d" ]; then echo "runs $d"; fi
set -- $(df -Pk "$d" | tail -n 1); echo "free $4"
if command -v nvidia-smi >/dev/null; then
  nvidia-smi --query-gpu=name,memory.total --format=csv,noheader 2>&1 | { n=0; while IFS= read -r l; do
    echo "gpu.$n $l"; n=$((n + 1)); done; }
fi
if command -v loginctl >/dev/null; then
  echo "linger $(loginctl show-user "$(id -un)" --property=Linger 2>/dev/null)"
  echo "kills $(busctl get-property org.freedesktop.login1 /org/freedesktop/login1 org.freedesktop.login1.Manager \
    KillUserProcesses 2>/dev/null)"
fi
""".replace("READING", " ".join(READING))


def examine_host(host: str) -> Iterator[Finding]:
    """What is found of the machine that `ssh` reaches under this name. Raises LaunchError for what names none."""
    try:
        address = host_address(host)
    except AddressError as error:
        raise LaunchError(f"--host: {error}") from None
    host = address.host
    try:
        began = time.monotonic()
        run_script(host, "exit 0")
        seconds = time.monotonic() - began
        machine = probe(host, [address.path], more=_MORE)
    except (RemoteError, ScriptError) as error:
        said = error.strerror if isinstance(error, RemoteError) else error.text
        yield Finding("SSH", "wrong", f"{host}: {said}", f"make `ssh {host}` work without a question")
        return
    yield _connection(machine, seconds)
    yield _reading(machine)
    yield _clock(machine)
    yield _logout(machine)
    yield _disk(machine, address.path)
    yield _sending(machine)
    yield _tuitrain(machine)
    yield from _training(machine)


def _connection(machine: RemoteMachine, seconds: float) -> Finding:
    shell = machine.facts["shell"].rpartition("/")[2] or "sh"
    detail = f"{machine.host} answers in {seconds:.1f} s: {machine.facts['system']}, {shell}"
    if seconds <= SLOW_S:
        return Finding("SSH", "ok", detail)
    fix = f"share connections: ControlMaster auto, ControlPath ~/.ssh/%C and ControlPersist 10m for {machine.host}"
    return Finding("SSH", "warning", detail, f"{fix} in ~/.ssh/config")


def _reading(machine: RemoteMachine) -> Finding:
    lacks = [name for name in READING if f"lacks.{name}" in machine.facts]
    if lacks:
        return Finding("reading runs", "wrong", f"there is no {' and no '.join(lacks)}", "install busybox or coreutils")
    coding = next((name for name in ("gzip", "zstd") if name in machine.tools), None)
    if coding is None:
        return Finding("reading runs", "warning", "a shell, and no compression but that of ssh", "install gzip there")
    return Finding("reading runs", "ok", f"a shell and {coding}")


def _clock(machine: RemoteMachine) -> Finding:
    ahead = int(machine.facts["time"]) - time.time()
    if abs(ahead) <= MOST_SKEW_S:
        return Finding("clock", "ok", "as here")
    detail = f"{abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} this one: ages and states of runs are off"
    return Finding("clock", "warning", detail, "synchronise it: timedatectl set-ntp true")


def _logout(machine: RemoteMachine) -> Finding:
    """Whether what was started ends with the session that started it."""
    kills, lingers = machine.facts.get("kills", "").endswith("true"), machine.facts.get("linger", "").endswith("yes")
    if not kills or lingers:
        return Finding("logout", "ok", "what was started goes on" + (", by lingering" if kills else ""))
    fix = "loginctl enable-linger there, or launch --tmux"
    return Finding("logout", "wrong", "systemd-logind ends what a session started (KillUserProcesses)", fix)


def _disk(machine: RemoteMachine, runs: str) -> Finding:
    if "runs" not in machine.facts:
        return Finding("runs", "wrong", f"{runs} cannot be written", f"give another directory: {machine.host}:DIR")
    free = machine.facts.get("free", "")
    gigabytes = int(free) * 1024 / 1e9 if free.isdigit() else None
    detail = f"{runs}, {'n/a' if gigabytes is None else f'{gigabytes:,.0f}'} GB free"
    if gigabytes is None or gigabytes >= LEAST_GB:
        return Finding("runs", "ok", detail)
    return Finding("runs", "warning", detail, f"checkpoints fill it: give another directory, {machine.host}:DIR")


def _sending(machine: RemoteMachine) -> Finding:
    method = next((name for name in ("rsync", "git", "tar") if name in machine.tools), None)
    if method == "rsync":
        return Finding("sending code", "ok", f"rsync, {machine.tools[method]}")
    detail = f"{method} in place of rsync" if method else "there is no rsync, git or tar"
    return Finding("sending code", "warning" if method else "wrong", detail, "install rsync there")


def _tuitrain(machine: RemoteMachine) -> Finding:
    command = f"tuitrain launch --host {shlex.quote(machine.host)} --install PRESET"
    if machine.tuitrain and machine.version == __version__:
        return Finding("tuitrain", "ok", f"{machine.version} at {machine.tuitrain}")
    if machine.tuitrain:
        detail = f"{machine.version or 'of an unknown version'} at {machine.tuitrain}, and here {__version__}"
        return Finding("tuitrain", "warning", detail, f"install this one: {command}")
    tool = "uv" if "uv" in machine.tools else "venv" if machine.python else None
    if tool is None:
        return Finding("tuitrain", "missing", "none, no uv, and no Python from 3.11 on with venv", "install uv there")
    return Finding("tuitrain", "missing", f"none; {tool} can install it", command)


def _training(machine: RemoteMachine) -> Iterator[Finding]:
    """What its own `tuitrain doctor` finds; without one, the GPUs as the driver names them."""
    try:
        findings = json.loads(run_tuitrain(RemoteDirectory(machine, machine.home), ["doctor", "--json"], codes=(0, 1)))
        yield from (Finding(**each) for each in findings if each["name"] not in _OF_HERE)
    except (LaunchError, ValueError, TypeError, LookupError):
        gpus = [(key, text) for key, text in machine.facts.items() if key.startswith("gpu.")]
        yield from (Finding(key.replace("gpu.", "GPU "), "ok", text) for key, text in gpus)
        if not gpus:
            yield Finding("GPU", "ok", "no nvidia-smi there: training runs on the CPU")
