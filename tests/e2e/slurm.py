"""A real Slurm on loopback: munged, slurmctld and two slurmd as nodes of four CPUs, all as the user of the tests."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin:/sbin"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel", "sinfo", "srun")
MISSING = ", ".join(name for name in PROGRAMS if shutil.which(name, path=PATH) is None)
PATIENCE_S = 30.0

_CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
SlurmctldPort={port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/%n.pid
SlurmdSpoolDir={folder}/%n
StateSaveLocation={folder}/state
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=10
MinJobAge=300
SlurmdParameters=config_overrides
NodeName=n1 NodeHostname=n1 NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=2000 State=UNKNOWN
NodeName=n2 NodeHostname=n2 NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=2000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=01:00:00 State=UP
"""


_WATCHER = """
import os, pathlib, shutil, sys
folder = sys.argv[1].encode()
os.setsid()
os.read(0, 1)
for process in pathlib.Path("/proc").glob("[0-9]*"):
    try:
        texts = [(process / each).read_bytes() for each in ("environ", "cmdline")]
        if process.name != str(os.getpid()) and any(folder in text for text in texts):
            os.kill(int(process.name), 9)
    except OSError:
        continue
shutil.rmtree(folder, ignore_errors=True)
"""
"""Waits until the tests have ended, even by SIGKILL, kills what is left of daemons and jobs, which have the folder in
their environment or command, and removes the folder."""


@dataclass(frozen=True)
class Cluster:
    """A running Slurm."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What commands need to reach it."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": PATH}

    def ask(self, *command: str) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=True, timeout=PATIENCE_S
        )
        return done.stdout.strip()


@contextlib.contextmanager
def running() -> Iterator[Cluster]:
    """Start the daemons; at the end all jobs are cancelled and the daemons stopped."""
    # The path of munged's socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="slurm-"))
    folder.chmod(0o755)
    processes: list[subprocess.Popen[bytes]] = []
    watcher = subprocess.Popen([sys.executable, "-c", _WATCHER, str(folder)], stdin=subprocess.PIPE)
    try:
        _configure(folder)
        cluster = Cluster(folder)
        environment = os.environ | cluster.environment
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge.sock", f"--key-file={folder}/key",
                  f"--pid-file={folder}/munge.pid", f"--log-file={folder}/munge.log",
                  f"--seed-file={folder}/seed"]  # fmt: skip
        for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D", "-N", "n1"], ["slurmd", "-D", "-N", "n2"]):
            with (folder / "out.log").open("ab") as log:
                processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=folder))
            if command is munged:
                _wait(lambda: (folder / "munge.sock").exists(), folder)
        _wait(lambda: _idle(cluster) == 2, folder)
        yield cluster
        cluster.ask("scancel", f"--user={getpass.getuser()}")
        _wait(lambda: cluster.ask("squeue", "--noheader") == "", folder)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        watcher.communicate()


def _configure(folder: Path) -> None:
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o600)
    for name in ("state", "n1", "n2"):
        (folder / name).mkdir()
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(3)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        port, first, second = (probe.getsockname()[1] for probe in probes)
    host = socket.gethostname().partition(".")[0]
    text = _CONFIG.format(host=host, user=getpass.getuser(), folder=folder, port=port, first=first, second=second)
    (folder / "slurm.conf").write_text(text)


def _idle(cluster: Cluster) -> int:
    with contextlib.suppress(subprocess.SubprocessError):
        return cluster.ask("sinfo", "--noheader", "--Node", "--format=%T").split().count("idle")
    return 0


def _wait(condition: object, folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():  # type: ignore[operator]
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text(errors="replace")[-1000:] for path in sorted(folder.glob("*.log")))
            raise RuntimeError(f"Slurm does not start:\n{logs}")
        time.sleep(0.05)
