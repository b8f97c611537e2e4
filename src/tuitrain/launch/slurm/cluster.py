"""The cluster: commands that change something on it, and its partitions with their nodes, as `sinfo` lists them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from tuitrain.launch.errors import LaunchError
from tuitrain.runs.slurm import ask, slurm_environment

ANSWER_S = 10.0
CHANGE_S = 60.0
"""How long a command that changes something may take."""
_GPUS = re.compile(r"gpu:(?:([^:,()]*[^:,()0-9][^:,()]*):)?(\d+)")
_FORMAT = "%P|%a|%l|%D|%T|%c|%G"


def run_slurm(command: Sequence[str], remedy: str) -> subprocess.CompletedProcess[str]:
    """What a command that changes something said. remedy: where it is not installed. Raises LaunchError."""
    try:
        return subprocess.run(
            command, env=slurm_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True,
            errors="replace", timeout=CHANGE_S, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise LaunchError(f"{command[0]} is not installed here: {remedy}.", exit_code=3) from None
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{command[0]} does not answer within {CHANGE_S:g} s.", exit_code=1) from None


@dataclass(frozen=True)
class Nodes:
    """Nodes of a partition that are alike. gpus: the number on each of them, by type; "" where sinfo names none."""

    partition: str
    is_default: bool
    up: bool
    time_limit: str
    count: int
    state: str
    cpus: int
    gpus: dict[str, int]

    def gpus_of(self, kind: str | None) -> int:
        """GPUs of a type on each node; None: of all types."""
        return sum(self.gpus.values()) if kind is None else self.gpus.get(kind, 0)


def find_nodes() -> list[Nodes] | None:
    """The nodes of all partitions; None where Slurm does not answer."""
    text = ask("sinfo", "--noheader", f"--format={_FORMAT}", timeout_s=ANSWER_S)
    return None if text is None else parse_nodes(text)


def parse_nodes(text: str) -> list[Nodes]:
    """The lines of sinfo in the format above."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split("|")]
        if len(parts) == 7:
            name, up, limit, count, state, cpus, gres = parts
            gpus: dict[str, int] = {}
            for kind, number in _GPUS.findall(gres):
                gpus[kind] = gpus.get(kind, 0) + int(number)
            cores = re.match(r"\d+", cpus)
            found.append(
                Nodes(name.removesuffix("*"), name.endswith("*"), up == "up", limit, int(count), state,
                      int(cores[0]) if cores else 1, gpus)
            )  # fmt: skip
    return found


def nodes_of(nodes: Sequence[Nodes], partition: str | None) -> list[Nodes]:
    """Those of a partition, or of several with commas; None: of the default one."""
    names = partition.split(",") if partition else None
    return [each for each in nodes if (each.partition in names if names else each.is_default)]
