"""The batch script of a job: a template whose placeholders are replaced, for a person to read and to change."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tuitrain.config.errors import suggest
from tuitrain.files import os_error_text, read_regular
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import SPIN_COUNT
from tuitrain.launch.slurm.settings import SlurmSettings

SCRIPT = "submit.sh"
MOST_BYTES = 1 << 20
PORTS = 10_000, 20_000
"""The port of the rendezvous: the first, plus the id of the job modulo the second. Above them are ephemeral ones."""

TEMPLATE = """\
#!/bin/bash
# The job of {{name}}, written by `tuitrain launch --slurm`. To submit it again: sbatch {{script}}
{{directives}}

{{body}}
"""
_BODY = """\
run={{run}}
python={{python}}
{{variables}}
{{setup}}

# SIGTERM comes before the end of the time, at preemption and at scancel, sometimes to this shell too. It waits for the
# processes, which write a checkpoint and stop.
trap : TERM

# A further attempt goes on from the newest checkpoint: its processes get these arguments.
attempt=$("$python" -m tuitrain.launch.slurm.job begin "$run" $$) || exit

{{step}}
code=$?

# This says whether a run that was interrupted is to go on, with the same log.
{{requeue}}
exit $code"""
_END = '"$python" -m tuitrain.launch.slurm.job end "$run" $code'
_REQUEUE = {
    "yes": f'{_END} && scontrol requeue "$SLURM_JOB_ID"',
    "resubmit": f'{_END} && "$python" -m tuitrain.launch.slurm.job resubmit "$run"',
    "no": f"{_END} --final",
}
_PLACEHOLDER = re.compile(r"(?P<alone>^)?\{\{\s*(?P<name>\w*)\s*\}\}(?(alone)\n?)", re.MULTILINE)


@dataclass(frozen=True)
class JobSize:
    """Nodes, processes and GPUs on each, and CPUs for each process; cpus None: as the cluster gives them."""

    nodes: int = 1
    processes: int = 1
    gpus: int = 0
    cpus: int | None = None

    @property
    def total(self) -> int:
        """All processes."""
        return self.nodes * self.processes


@dataclass(frozen=True)
class JobScript:
    """What the script of a job is made of.

    name: of the job. run: the run directory, or of an array the directory with a link `0`, `1`, … to each. command: of
    another training program; None: the engine. runs: of an array.
    """

    name: str
    run: Path
    size: JobSize
    settings: SlurmSettings
    directory: Path
    command: Sequence[str] | None = None
    runs: int | None = None

    def text(self) -> str:
        """The script. Raises LaunchError for a template that cannot be used, or a path that Slurm cannot take."""
        path, values = self.settings.template, self._placeholders()
        values["body"] = _filled(_BODY, values, "")
        return _filled(TEMPLATE if path is None else _read(Path(path)), values, path or "")

    def _placeholders(self) -> dict[str, str]:
        size, settings = self.size, self.settings
        link = self.run / "$SLURM_ARRAY_TASK_ID"
        run = shlex.quote(str(self.run)) if self.runs is None else f"$(readlink -f {_with_variable(link)})"
        return {
            "name": self.name,
            "script": shlex.quote(str(self.run / SCRIPT)),
            "directives": "\n".join(f"#SBATCH {each}" for each in self.directives()),
            "run": run,
            "python": shlex.quote(sys.executable),
            "variables": _VARIABLES.format(share=_share(size.processes), spin=SPIN_COUNT),
            "setup": "\n".join(settings.setup),
            "step": self._step(),
            "requeue": _REQUEUE[settings.requeue],
            "nodes": str(size.nodes),
            "processes": str(size.processes),
            "gpus": str(size.gpus),
            "time": settings.time or "",
            "partition": settings.partition or "",
            "account": settings.account or "",
        }

    def directives(self) -> list[str]:
        """The options of sbatch. Those of a user come last, and so count."""
        size, settings = self.size, self.settings
        folder = "" if self.runs is None else "/%a"
        limit = "" if settings.at_once is None else f"%{settings.at_once}"
        given = {
            "job-name": self.name,
            "array": None if self.runs is None else f"0-{self.runs - 1}{limit}",
            "partition": settings.partition,
            "account": settings.account,
            "time": settings.time,
            "nodes": str(size.nodes),
            "ntasks-per-node": "1",
            "cpus-per-task": None if size.cpus is None else str(size.cpus * size.processes),
            "gres": ":".join(filter(None, ["gpu", settings.gpu_type, str(size.gpus)])) if size.gpus else None,
            "chdir": str(self.directory),
            "output": f"{_pattern(self.run)}{folder}/console.log",
            "open-mode": "append",
            "signal": f"TERM@{settings.stop_s}",
        }
        lines = [f"--{name}={directive_word(value)}" for name, value in given.items() if value is not None]
        lines.append("--requeue" if settings.requeue == "yes" else "--no-requeue")
        return [*lines, *map(_user_argument, settings.arguments)]

    def _step(self) -> str:
        """The command that starts the processes on all nodes."""
        size = self.size
        cpus = "" if size.cpus is None else ' --cpus-per-task="$SLURM_CPUS_PER_TASK"'
        srun = f"srun --export=ALL{cpus}"
        if self.command is not None:
            return f"{_MASTER if size.nodes > 1 else ''}{srun} \\\n  {shlex.join(self.command)}"
        train = '-m tuitrain_engine train --run-dir "$run" $attempt'
        if size.total == 1:
            return f'{srun} \\\n  "$python" {train}'
        torchrun = f'"$python" -m tuitrain_engine.torchrun --nproc-per-node={size.processes}'
        if size.nodes == 1:
            return f"{srun} \\\n  {torchrun} --standalone \\\n  {train}"
        return (
            f"{_MASTER}{srun} --kill-on-bad-exit=1 \\\n  {torchrun} --nnodes={size.nodes} \\\n"
            '  --rdzv-backend=c10d --rdzv-endpoint="$MASTER_ADDR:$MASTER_PORT" --rdzv-id="$SLURM_JOB_ID" \\\n'
            f"  {train}"
        )


_VARIABLES = """\
export TUITRAIN_RUN_DIR=$run TUITRAIN_RUN_ID=$(basename "$run") PYTHONUNBUFFERED=1
export OMP_NUM_THREADS=${{OMP_NUM_THREADS:-{share}}}
export GOMP_SPINCOUNT=${{GOMP_SPINCOUNT:-{spin}}} PYTORCH_ALLOC_CONF=${{PYTORCH_ALLOC_CONF:-expandable_segments:True}}
export SLURM_JOB_END_TIME=${{SLURM_JOB_END_TIME:-$(SLURM_TIME_FORMAT=%s squeue -h -j "$SLURM_JOB_ID" -o %e)}}"""
_MASTER = f"""\
# The processes meet on the first node, at the address that Slurm has of it.
MASTER_ADDR=$(scontrol --oneliner show node "$SLURMD_NODENAME" | grep -o 'NodeAddr=[^ ]*' | cut -d= -f2)
MASTER_PORT=$(({PORTS[0]} + SLURM_JOB_ID % {PORTS[1]}))
export MASTER_ADDR MASTER_PORT
"""


def _share(processes: int) -> str:
    """The CPUs of a process, as an expression of the shell; at least 1."""
    node = "SLURM_CPUS_ON_NODE"
    return f"${node}" if processes == 1 else f"$(( ({node} + {processes - 1}) / {processes} ))"


def _filled(template: str, values: Mapping[str, str], path: str) -> str:
    """The template with the values; a line that is a placeholder without a value is left out. Raises LaunchError."""

    def value(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in values:
            line = template.count("\n", 0, match.start()) + 1
            known = suggest(name, list(values)) or f" Known: {', '.join(values)}."
            raise LaunchError(f"{path}, line {line}: {match[0].strip()} is no placeholder.{known}")
        newline = "\n" if match[0].endswith("\n") and values[name] else ""
        return values[name] + newline

    return _PLACEHOLDER.sub(value, template)


def _read(path: Path) -> str:
    try:
        return read_regular(path, MOST_BYTES).decode()
    except OSError as error:
        raise LaunchError(f"The template of the script cannot be read: {os_error_text(error)}", exit_code=3) from None
    except UnicodeDecodeError:
        raise LaunchError(f"The template of the script, {path}, is not UTF-8 text.") from None


def directive_word(text: str) -> str:
    """A value as sbatch reads it in a line of the script: blanks, quotes, `#` and backslashes need quoting."""
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise LaunchError(f"{text!r} has a control character, which a line of a batch script cannot hold.")
    if re.fullmatch(r"[^\s'\"\\#]+", text):
        return text
    return '"' + re.sub(r'(["\\])', r"\\\1", text) + '"'


def _user_argument(argument: str) -> str:
    """An option of sbatch with its value quoted."""
    name, equals, value = argument.partition("=")
    return f"{name}={directive_word(value)}" if equals else argument


def _pattern(path: Path) -> str:
    """A path as --output takes it: a percent sign begins a pattern there. Raises LaunchError."""
    if "\\" in str(path):
        raise LaunchError(f"{path}: Slurm cannot write to a path with a backslash; choose another --runs-dir.")
    return str(path).replace("%", "%%")


def _with_variable(path: Path) -> str:
    """A path whose last part is a variable of the shell, quoted."""
    return f'{shlex.quote(str(path.parent))}/"{path.name}"'
