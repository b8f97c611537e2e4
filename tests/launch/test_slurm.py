"""The batch script of a job, the settings for it, and what is read of Slurm's answers; no Slurm is needed."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from tuitrain.config import load_config
from tuitrain.events import End
from tuitrain.launch import LaunchError
from tuitrain.launch.slurm import submit
from tuitrain.launch.slurm.cluster import Nodes, parse_nodes
from tuitrain.launch.slurm.script import JobScript, JobSize, directive_word
from tuitrain.launch.slurm.settings import SlurmSettings, slurm_settings
from tuitrain.runs import RunMetadata, Status, derive_status
from tuitrain.runs.slurm import Job, parse_jobs
from tuitrain.settings import SettingsError


@pytest.fixture(autouse=True)
def no_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)


def text(size: JobSize = JobSize(), settings: SlurmSettings = SlurmSettings(), run: str = "/runs/mine") -> str:  # noqa: B008
    return JobScript("mine", Path(run), size, settings, Path("/work")).text()


def test_the_script_has_one_torchrun_a_node_and_is_one_that_bash_takes(tmp_path: Path) -> None:
    settings = SlurmSettings(
        gpu_type="h100", time="1-00:00:00", arguments=["--mem=0", "-C a b"], setup=["module load x"]
    )
    script = text(JobSize(2, 8, 8, 4), settings)
    for line in ("#SBATCH --nodes=2", "#SBATCH --ntasks-per-node=1", "#SBATCH --gres=gpu:h100:8",
                 "#SBATCH --cpus-per-task=32", "#SBATCH --time=1-00:00:00", "#SBATCH --open-mode=append",
                 "#SBATCH --signal=TERM@120", "#SBATCH --requeue", "#SBATCH --mem=0", "#SBATCH -C a b",
                 "module load x"):  # fmt: skip
        assert line in script.splitlines()
    assert "--nnodes=2" in script and "--nproc-per-node=8" in script and "--rdzv-backend=c10d" in script
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    assert "{{" not in script


def test_one_process_needs_no_torchrun_and_one_node_no_address() -> None:
    assert "torchrun" not in text() and "MASTER" not in text() and "--gres" not in text()
    assert "--standalone" in text(JobSize(1, 4, 4)) and "MASTER" not in text(JobSize(1, 4, 4))


def test_paths_keep_their_blanks_quotes_and_percent_signs() -> None:
    script = text(run="/a b/it's 100%/$HOME")
    assert '#SBATCH --output="/a b/it\'s 100%%/$HOME/console.log"' in script.splitlines()
    line = next(line for line in script.splitlines() if line.startswith("run="))
    assert shlex.split(line) == ["run=/a b/it's 100%/$HOME"]
    with pytest.raises(LaunchError, match="backslash"):
        text(run="/a\\b")
    with pytest.raises(LaunchError, match="control character"):
        directive_word("a\nb")


@pytest.mark.parametrize(
    ("requeue", "words"), [("yes", "scontrol requeue"), ("resubmit", "job resubmit"), ("no", "--final")]
)
def test_how_a_run_goes_on_is_in_its_script(requeue: str, words: str) -> None:
    script = text(settings=SlurmSettings(requeue=requeue))  # type: ignore[arg-type]
    assert words in script
    assert ("#SBATCH --requeue" in script) == (requeue == "yes")


def test_a_template_has_the_place_of_the_script_and_its_placeholders_are_checked(tmp_path: Path) -> None:
    template = tmp_path / "site.sh"
    template.write_text("#!/bin/sh\n{{directives}}\n{{ setup }}\nmpirun -n {{nodes}} x\n")
    settings = SlurmSettings(template=str(template))
    assert text(JobSize(3), settings).endswith("#SBATCH --requeue\nmpirun -n 3 x\n")
    template.write_text("#!/bin/sh\n{{direktives}}\n")
    with pytest.raises(LaunchError, match=r"site.sh, line 2: \{\{direktives\}\} is no placeholder. Did you mean"):
        text(settings=settings)
    with pytest.raises(LaunchError, match="no such file"):
        text(settings=SlurmSettings(template="/nowhere.sh"))


def test_a_flag_goes_before_a_variable_before_the_project_before_the_user(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "config.toml").write_text(
        '[slurm]\npartition = "user"\naccount = "user"\ntime = "1:00"\narguments = ["--mem=0"]\nstop_s = 60\n'
    )
    (tmp_path / "tuitrain.toml").write_text('[slurm]\npartition = "project"\naccount = "project"\ntemplate = "x.sh"\n')
    environ = {"TUITRAIN_SLURM_PARTITION": "variable", "TUITRAIN_SLURM_ARGUMENTS": "--constraint='a b'"}
    settings = slurm_settings({"partition": "flag", "time": None, "sbatch": ["--nice"]}, environ)
    assert (settings.partition, settings.account, settings.time, settings.stop_s) == ("flag", "project", "1:00", 60)
    assert settings.arguments == ["--mem=0", "--constraint=a b", "--nice"]
    assert settings.template == str(tmp_path / "x.sh")
    assert slurm_settings({}, environ).partition == "variable"


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ('partitoin = "a"', "slurm.partitoin is not a setting. Did you mean 'slurm.partition'"),
        ('time = "soon"', 'slurm.time = "soon" is not valid: it should be minutes'),
        ("stop_s = 1", "slurm.stop_s = 1 is not valid: it should be seconds"),
        ('arguments = ["--a\\nrm -r /"]', "slurm.arguments"),
        ('requeue = "maybe"', "one of yes, resubmit, no"),
    ],
)
def test_a_wrong_setting_is_named_with_its_file(tmp_path: Path, table: str, sentence: str) -> None:
    (tmp_path / "tuitrain.toml").write_text(f"[slurm]\n{table}\n")
    with pytest.raises(SettingsError) as error:
        slurm_settings()
    assert "tuitrain.toml" in str(error.value) and sentence in str(error.value)


NODES = """\
gpu*|up|2-00:00:00|4|idle|64|gpu:h100:8(S:0-1)
gpu*|up|2-00:00:00|1|drained|64|gpu:h100:8(S:0-1)
mixed|up|infinite|2|mixed|32+|gpu:a100:4,gpu:v100:2
cpu|down|1:00:00|9|idle|16|(null)
plain|up|1:00:00|1|idle|16|gpu:2
"""


def test_the_gpus_of_a_job_are_those_of_the_nodes_of_its_partition(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parse_nodes(NODES)
    assert found[2] == Nodes("mixed", False, True, "infinite", 2, "mixed", 32, {"a100": 4, "v100": 2})
    assert (found[4].gpus_of(None), found[2].gpus_of("a100"), found[3].gpus_of(None)) == (2, 4, 0)
    monkeypatch.setattr(submit, "find_nodes", lambda: found)
    config = load_config("llama2-1.3b", ["train.global_batch_size=64", "train.micro_batch_size=1"])
    assert submit.job_size(config, SlurmSettings(), 2, None) == JobSize(2, 8, 8, 8)
    assert submit.job_size(config, SlurmSettings(partition="plain", cpus=3), 1, None) == JobSize(1, 2, 2, 3)
    assert submit.job_size(config, SlurmSettings(partition="cpu"), 1, None) == JobSize(1, 1, 0, 1)
    with pytest.raises(LaunchError, match=r"no partition 'gpus'\. There are: gpu, mixed, cpu, plain"):
        submit.job_size(config, SlurmSettings(partition="gpus"), 1, None)
    monkeypatch.setattr(submit, "find_nodes", lambda: None)
    assert submit.job_size(config, SlurmSettings(), 1, 4) == JobSize(1, 4, 4, None)
    with pytest.raises(LaunchError, match="Slurm does not answer"):
        submit.job_size(config, SlurmSettings(), 1, None)


def test_the_state_of_a_job_decides_where_the_log_does_not() -> None:
    jobs = parse_jobs("7_1|PENDING|1769860800|Nodes down | and more\n8|RUNNING|1769860800|None\n9|X\n")
    assert jobs.keys() == {"7_1", "8"}
    waiting = jobs["7_1"]
    assert waiting.waits and waiting.reason == "Nodes down | and more" and waiting.start == 1769860800
    info = RunMetadata(name="a", created=100.0, launcher="slurm", job_id="8", queued=100.0, host="elsewhere")

    def status(state: str | None, asked: float = 200.0, end: End | None = None, **facts: object) -> Status:
        changed = RunMetadata(**{**{key: getattr(info, key) for key in info.__struct_fields__}, **facts})
        return derive_status(changed, end, None, False, now=1000.0, job=Job("8", state, asked=asked))

    assert status("PENDING") is Status.QUEUED
    assert status(None) is Status.QUEUED
    assert status("RUNNING") is Status.STARTING
    assert status("CANCELLED") is Status.CRASHED
    # The answer is older than the submission.
    assert status("CANCELLED", asked=50.0) is Status.QUEUED
    started = {"queued": None, "started": 150.0}
    assert status("RUNNING", **started) is Status.STARTING
    assert status("", **started) is Status.CRASHED
    assert status("PENDING", **started) is Status.QUEUED
    stopped = End(status="stopped", reason="stopped by SIGTERM")
    # The script of the job is still to decide whether the run goes on.
    assert status("COMPLETING", end=stopped, **started) is Status.STARTING
    assert status("COMPLETED", end=stopped, **started) is Status.STOPPED
    asked_to = End(status="stopped", reason="stopped by `tuitrain stop`")
    assert status("RUNNING", end=asked_to, **started) is Status.STOPPED
