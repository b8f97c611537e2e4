"""The Slurm cluster that this machine submits to: whether it answers, its partitions, and what its jobs may do."""

from __future__ import annotations

import getpass
import re
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

from tuitrain.launch.doctor.finding import Finding
from tuitrain.launch.doctor.programs import first_line
from tuitrain.launch.slurm.cluster import Nodes, find_nodes
from tuitrain.launch.slurm.settings import SlurmSettings, slurm_settings
from tuitrain.runs.slurm import ask

ANSWER_S = 10.0
SBATCH_FIX = (
    "nothing can be submitted until it starts: check slurm.conf ($SLURM_CONF) and the installation of Slurm's client"
)
_UNUSABLE = ("down", "drained", "draining", "fail", "failing", "error", "unknown", "maint", "reboot", "power_down")


def examine_slurm() -> Iterator[Finding]:
    """What is found of Slurm. Raises SettingsError for a table `[slurm]` with an error."""
    if shutil.which("sbatch") is None:
        fix = "run this on a login node of the cluster, or install Slurm's client: sudo apt install slurm-client"
        yield Finding("Slurm", "missing", "there is no sbatch here", fix)
        return
    works, said = first_line(["sbatch", "--version"])
    if not works:
        yield Finding("Slurm", "wrong", f"sbatch --version: {said}", SBATCH_FIX)
        return
    yield Finding("Slurm", "ok", said)
    answer = ask("scontrol", "ping", timeout_s=ANSWER_S)
    if answer is None or " UP" not in answer:
        fix = "`scontrol ping` says why; slurm.conf is found through $SLURM_CONF or in /etc/slurm"
        yield Finding("controller", "wrong", "slurmctld does not answer", fix)
        return
    yield Finding("controller", "ok", "; ".join(line.strip() for line in answer.splitlines()))
    settings, nodes = slurm_settings(), find_nodes() or []
    yield from _partitions(nodes, settings)
    facts = _config()
    yield _requeue(facts, settings)
    yield _preemption(facts)
    yield _accounting(facts, settings)
    if settings.template is not None:
        exists = Path(settings.template).is_file()
        fix = "" if exists else "correct slurm.template in the settings"
        yield Finding("template", "ok" if exists else "wrong", settings.template, fix)


def _partitions(nodes: Sequence[Nodes], settings: SlurmSettings) -> Iterator[Finding]:
    """Each partition with its time limit, its nodes by state, and what a node has."""
    names = list(dict.fromkeys(each.partition for each in nodes))
    for name in names:
        yield _partition(name, [each for each in nodes if each.partition == name])
    chosen = settings.partition.split(",") if settings.partition else []
    missing = [name for name in chosen if name not in names]
    if missing:
        fix = f"set slurm.partition to one of {', '.join(names)}"
        yield Finding("partition", "wrong", f"the settings name {', '.join(missing)}, which Slurm does not have", fix)
    elif not chosen and not any(each.is_default for each in nodes):
        fix = f'set partition = "{names[0]}" under [slurm] in tuitrain.toml' if names else "ask the administrators"
        yield Finding("partition", "warning", "Slurm has no default partition", fix)
    if nodes and not any(each.gpus for each in nodes):
        fix = "nodes with GPUs need Gres=gpu:N in slurm.conf, and gres.conf"
        yield Finding("GPUs", "warning", "no node has GPUs that Slurm knows of: jobs train on the CPU", fix)


def _partition(name: str, nodes: Sequence[Nodes]) -> Finding:
    usable = [each for each in nodes if not each.state.rstrip("*~#!%$@^-").startswith(_UNUSABLE)]
    states = ", ".join(f"{each.count} {each.state}" for each in nodes)
    kinds = list(dict.fromkeys(_hardware(each) for each in nodes))
    default = ", the default" if nodes[0].is_default else ""
    detail = f"{name}{default}: limit {nodes[0].time_limit}; nodes: {states}; each {' or '.join(kinds)}"
    if not nodes[0].up:
        return Finding("partition", "warning", detail, f"{name} is down: choose another with --partition")
    if not usable:
        return Finding("partition", "warning", detail, "no node can be used: `sinfo -R` gives the reasons")
    return Finding("partition", "ok", detail)


def _hardware(nodes: Nodes) -> str:
    gpus = [f"{count} × {kind or 'GPU'}" for kind, count in nodes.gpus.items()]
    return " and ".join([f"{nodes.cpus} CPUs", *gpus])


def _config() -> dict[str, str]:
    """`scontrol show config` by key."""
    text = ask("scontrol", "show", "config", timeout_s=ANSWER_S) or ""
    pairs = (line.partition("=") for line in text.splitlines())
    return {key.strip(): value.strip() for key, equals, value in pairs if equals}


def _requeue(facts: dict[str, str], settings: SlurmSettings) -> Finding:
    value = facts.get("JobRequeue")
    how = {"yes": "submit.sh asks for it", "resubmit": "slurm.requeue = resubmit", "no": "slurm.requeue = no"}
    detail = f"JobRequeue = {value or 'n/a'}; {how[settings.requeue]}"
    if value == "0" and settings.requeue == "yes":
        fix = 'where the site forbids --requeue: requeue = "resubmit" under [slurm] in tuitrain.toml'
        return Finding("requeue", "warning", detail, fix)
    return Finding("requeue", "ok", detail)


def _preemption(facts: dict[str, str]) -> Finding:
    mode, wait = facts.get("PreemptMode", "n/a"), facts.get("KillWait", "n/a")
    detail = f"PreemptMode = {mode}; KillWait = {wait}, the time for a checkpoint at scancel and without GraceTime"
    seconds = re.match(r"\d+", wait)
    if seconds and int(seconds[0]) < 30:
        fix = "choose checkpoint.interval such that little is lost: a large checkpoint takes longer"
        return Finding("preemption", "warning", detail, fix)
    return Finding("preemption", "ok", detail)


def _accounting(facts: dict[str, str], settings: SlurmSettings) -> Finding:
    kind = facts.get("AccountingStorageType", "n/a")
    if not kind.endswith("slurmdbd"):
        return Finding("accounting", "ok", f"{kind}: no account is needed")
    user = getpass.getuser()
    text = ask("sacctmgr", "--noheader", "--parsable2", "show", "associations", f"user={user}", "format=account",
               timeout_s=ANSWER_S)  # fmt: skip
    accounts = list(dict.fromkeys((text or "").split()))
    if text is None:
        return Finding("accounting", "warning", f"{kind} does not answer", "`sacctmgr show associations` says why")
    if not accounts:
        return Finding("accounting", "warning", f"{user} has no account", "ask the administrators for one")
    if settings.account is not None and settings.account not in accounts:
        fix = f"set slurm.account to one of {', '.join(accounts)}"
        return Finding("accounting", "wrong", f"the settings name {settings.account}, which {user} does not have", fix)
    return Finding("accounting", "ok", f"accounts of {user}: {', '.join(accounts)}")
