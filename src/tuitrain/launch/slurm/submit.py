"""Submitting runs to Slurm: their directories, their batch scripts, `sbatch`; cancelling their jobs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tuitrain.config import RunConfig
from tuitrain.config.requirements import check_attention, check_processes, check_vocabulary
from tuitrain.files import writing
from tuitrain.launch import preflight
from tuitrain.launch.corpus import check_data, check_tokenizer
from tuitrain.launch.errors import LaunchError
from tuitrain.launch.local import Label, new_run, removed_on_error, starting, write_queued
from tuitrain.launch.plan import known_vocabulary
from tuitrain.launch.slurm.cluster import Nodes, find_nodes, nodes_of, run_slurm
from tuitrain.launch.slurm.script import SCRIPT, JobScript, JobSize
from tuitrain.launch.slurm.settings import SlurmSettings
from tuitrain.runs import RunDirectory
from tuitrain.runs.editing import edited_metadata
from tuitrain.runs.log_ends import end_of_lines
from tuitrain.runs.slurm import LAUNCHER, QUEUE


@dataclass(frozen=True)
class Submitted:
    """Runs whose job, or array of jobs, is in the queue."""

    runs: list[RunDirectory]
    job_id: str
    script: Path


def job_size(config: RunConfig, settings: SlurmSettings, nodes: int, gpus: int | None) -> JobSize:
    """The size of a job for a configuration. gpus: on each node, on the CPU processes; None: all of a node's.

    Without GPUs in the partition a run with train.device = auto trains on the CPU. Raises LaunchError or ConfigError.
    """
    found = None if config.train.device == "cpu" else find_nodes()
    of_partition = nodes_of(found or [], settings.partition)
    if found is not None and not of_partition:
        raise LaunchError(_no_partition(found, settings.partition))
    counts = sorted({each.gpus_of(settings.gpu_type) for each in of_partition})
    on_cpu = config.train.device == "cpu" or (config.train.device == "auto" and counts == [0])
    if gpus is None:
        gpus = 1 if on_cpu else _all_gpus(config, settings, nodes, counts)
    check_processes(config, nodes * gpus)
    if on_cpu:
        return JobSize(nodes, gpus, 0, settings.cpus or 1)
    share = min((each.cpus // each.gpus_of(None) for each in of_partition if each.gpus), default=None)
    return JobSize(nodes, gpus, gpus, settings.cpus or share or None)


def _all_gpus(config: RunConfig, settings: SlurmSettings, nodes: int, counts: Sequence[int]) -> int:
    """The GPUs of a node, as far as the batch divides over them; counts: those of the nodes of the partition."""
    where = f"partition {settings.partition}" if settings.partition else "the default partition"
    if not counts:
        raise LaunchError("Slurm does not answer, so the GPUs of its nodes are unknown: give --gpus N.", key="gpus")
    if counts == [0]:
        kind = f" of type {settings.gpu_type}" if settings.gpu_type else ""
        raise LaunchError(f"The nodes of {where} have no GPUs{kind}: choose another --partition.", key="gpus")
    if len(counts) > 1:
        raise LaunchError(
            f"The nodes of {where} have {' or '.join(map(str, counts))} GPUs: choose with --gpus.", key="gpus"
        )
    possible = set(config.process_counts(nodes * counts[0]))
    return max((count for count in range(1, counts[0] + 1) if nodes * count in possible), default=counts[0])


def _no_partition(found: Sequence[Nodes], partition: str | None) -> str:
    names = ", ".join(dict.fromkeys(each.partition for each in found)) or "none"
    if partition is None:
        return f"Slurm has no default partition: choose one with --partition. There are: {names}."
    return f"Slurm has no partition {partition!r}. There are: {names}."


def check_for_slurm(config: RunConfig, size: JobSize) -> None:
    """What can be checked here, before a job waits for hours. The GPUs are those of other machines.

    Raises LaunchError or ConfigError.
    """
    preflight.require_engine()
    check_attention(config.model, "cuda" if size.gpus else "cpu")
    check_data(config)
    check_tokenizer(config.data.tokenizer)
    check_vocabulary(config.model.vocab_size, config.data.tokenizer, known_vocabulary(config) or 0)


def submit_runs(
    configs: Sequence[RunConfig], runs_dir: Path, label: Label, size: JobSize, settings: SlurmSettings
) -> Submitted:
    """Make the directories of runs and submit them: one as a job, several, of a group, as an array of jobs.

    label: what they share; each has the name of its configuration. Raises LaunchError or OSError, and leaves none then.
    """
    with removed_on_error() as runs:
        for config in configs:
            runs.append(new_run(runs_dir, config))
            _write_metadata(runs[-1], replace(label, name=config.name), size.total)
            _write_script(JobScript(config.name, runs[-1].path, size, settings, Path.cwd()))
        if len(runs) == 1:
            return _submit(runs, runs[0].path / SCRIPT)
        assert label.group is not None
        array = _make_array(runs, label.group)
        with removed_on_error(RunDirectory(array)):
            _write_script(JobScript(label.group, array, size, settings, Path.cwd(), runs=len(runs)))
            return _submit(runs, array / SCRIPT)


def submit_command(
    run: RunDirectory, command: Sequence[str], label: Label, size: JobSize, settings: SlurmSettings
) -> Submitted:
    """Submit the wrapped command line of another training program. Raises LaunchError or OSError."""
    _write_metadata(run, label, size.total, command)
    _write_script(JobScript(label.name, run.path, size, settings, Path.cwd(), command))
    return _submit([run], run.path / SCRIPT)


def resubmit(run: RunDirectory) -> str:
    """Submit the script of a run again; returns the id of the job. Raises LaunchError, EditError or OSError."""
    with starting(run), edited_metadata(run) as facts:
        now = time.time()
        facts |= {
            "queued": now, "job_id": None, "pid": None, "pid_started": None, "exit": None,
            "log_bytes": end_of_lines(run.metrics),
        }  # fmt: skip
        facts["job_id"] = _sbatch(run.path / SCRIPT)
    QUEUE.forget()
    return str(facts["job_id"])


def _write_metadata(run: RunDirectory, label: Label, processes: int, command: Sequence[str] = ()) -> None:
    words = list(command or ["sbatch", str(run.path / SCRIPT)])
    write_queued(run, label, processes, launcher=LAUNCHER, command=words)


def _write_script(script: JobScript) -> None:
    path = script.run / SCRIPT
    with writing(path):
        path.write_text(script.text(), encoding="utf-8")
        path.chmod(0o755)


def array_directory(runs_dir: Path, group: str) -> Path:
    """Where the script of a new array of jobs lies, and a link to each of its runs."""
    directory = runs_dir / ".slurm" / group
    number = 1
    while directory.exists():
        number += 1
        directory = directory.with_name(f"{group}.{number}")
    return directory


def _make_array(runs: Sequence[RunDirectory], group: str) -> Path:
    """Make the directory of an array, with a link to each run by its number, where the script and Slurm find it."""
    directory = array_directory(runs[0].path.parent, group)
    with writing(directory):
        directory.mkdir(parents=True)
        for index, run in enumerate(runs):
            (directory / str(index)).symlink_to(Path("../..") / run.run_id)
    return directory


def _submit(runs: Sequence[RunDirectory], script: Path) -> Submitted:
    job_id = _sbatch(script)
    for index, run in enumerate(runs):
        own = job_id if len(runs) == 1 else f"{job_id}_{index}"
        with edited_metadata(run) as facts:
            facts["job_id"] = own
    QUEUE.forget()
    return Submitted(list(runs), job_id, script)


def _sbatch(script: Path) -> str:
    """Submit a script; returns the id of the job. Raises LaunchError with Slurm's words."""
    done = run_slurm(["sbatch", "--parsable", str(script)], "submit from a login node of the cluster")
    job_id = done.stdout.strip().partition(";")[0]
    if done.returncode or not job_id:
        said = "; ".join(filter(None, map(str.strip, done.stderr.splitlines()))) or f"exit code {done.returncode}"
        raise LaunchError(f"sbatch refused the job: {said}. `tuitrain doctor --slurm` checks the cluster.", exit_code=1)
    return job_id
