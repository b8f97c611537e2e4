"""Commands that read runs: ls, status, show, logs, diff, and what they do when there is nothing to read."""

from __future__ import annotations

import io
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.support import TINY, write_run
from tuitrain.cli.output import Column, print_table, with_progress
from tuitrain.config import load_config
from tuitrain.events import EventWriter, Run, Step
from tuitrain.launch.local import Label
from tuitrain.launch.queue import enqueue_all
from tuitrain.runs import order


@pytest.fixture
def two_runs(runs_dir: Path) -> Path:
    write_run(runs_dir, "gpt2-tiny-20260101-120000-aaaa", preset="gpt2-tiny", floor=2.5, start=1.7e9)
    write_run(runs_dir, "llama2-tiny-20260102-120000-bbbb", floor=2.0, start=1.7e9 + 86400, tokens_per_sec=5e5)
    return runs_dir


def test_ls_lists_newest_first_with_the_newest_values(cli: Cli, two_runs: Path) -> None:
    rows = cli("ls", "--json").json()
    assert [row["name"] for row in rows] == ["llama2-tiny", "gpt2-tiny"]
    assert rows[0]["status"] == "completed"
    assert rows[0]["step"] == 100
    assert rows[0]["total_steps"] == 300
    assert rows[0]["val_loss"] == pytest.approx(rows[0]["loss"] + 0.05)
    table = cli("ls").out.splitlines()
    assert table[0].split() == [
        "id",
        "name",
        "status",
        "step",
        "tokens",
        "loss",
        "val",
        "loss",
        "bits/byte",
        "MFU",
        "tokens/s",
        "time",
        "GPU-hours",
        "age",
    ]
    assert "100/300" in table[1]


def test_ls_has_what_a_run_cost_and_its_bits_per_byte(cli: Cli, two_runs: Path) -> None:
    (newest, _) = cli("ls", "--json", "--usd-per-gpu-hour", "3").json()
    assert newest["bits_per_byte"] == pytest.approx(newest["val_loss"] / math.log(2))
    assert newest["wall_time_s"] == pytest.approx(101)
    assert newest["gpu_hours"] == pytest.approx(101 / 3600)
    assert newest["cost_usd"] == pytest.approx(3 * 101 / 3600)
    assert newest["tokens_per_parameter"] == pytest.approx(204_800 / 918_656, rel=0.01)
    assert "0.08 USD" in cli("ls", "--usd-per-gpu-hour", "3").out
    assert cli("ls", "--json").json()[0]["cost_usd"] is None
    assert cli("ls", "-q", "--sort", "bits_per_byte").out.startswith("llama2-tiny")
    assert cli("ls", "-q", "bits/byte<4.5").out == "llama2-tiny-20260102-120000-bbbb\n"


def test_ls_chooses_and_sorts(cli: Cli, two_runs: Path) -> None:
    write_run(two_runs, "stopped-20260103-120000-cccc", status="stopped", floor=1.0, start=1.7e9)
    assert cli("ls", "-q", "--status", "stopped").out == "stopped-20260103-120000-cccc\n"
    assert cli("ls", "-q", "--sort", "loss", "--limit", "1").out == "stopped-20260103-120000-cccc\n"
    assert cli("ls", "-q", "--sort", "tokens_per_sec", "-n", "1").out == "llama2-tiny-20260102-120000-bbbb\n"
    assert len(cli("ls", "--tag", "test", "--json").json()) == 3
    assert cli("ls", "--tag", "other", "--json").json() == []
    assert cli("ls", "--status", "over").code == 2


def test_ls_takes_a_query(cli: Cli, two_runs: Path) -> None:
    gpt2, llama2 = "gpt2-tiny-20260101-120000-aaaa\n", "llama2-tiny-20260102-120000-bbbb\n"
    assert cli("ls", "-q", "gpt2").out == gpt2
    assert cli("ls", "-q", "loss<3.2", "status:completed").out == llama2
    assert cli("ls", "-q", "status:completed -gpt2").out == llama2
    assert cli("ls", "-q", "--", "-gpt2").out == llama2
    assert cli("ls", "-q", "tok/s>450k", "--tag", "test").out == llama2
    nothing = cli("ls", "tag:none")
    assert (nothing.code, nothing.out) == (0, "")
    assert "No run" in nothing.err
    assert [row["name"] for row in cli("ls", "step>=100", "--json").json()] == ["llama2-tiny", "gpt2-tiny"]


@pytest.mark.parametrize(
    ("term", "sentence"), [("speed>3", "'speed' in speed>3 is no key"), ("mfu>40", "between 0 and 1")]
)
def test_a_bad_query_is_one_sentence_and_exit_code_2(cli: Cli, two_runs: Path, term: str, sentence: str) -> None:
    result = cli("ls", term)
    assert (result.code, result.out) == (2, "")
    assert sentence in " ".join(result.err.split())


def test_runs_can_be_sorted_by_each_key(cli: Cli, two_runs: Path) -> None:
    for key in order.SORT_KEYS:
        assert len(cli("ls", "-q", "--sort", key).out.split()) == 2, key


def test_compare_takes_groups_of_runs(cli: Cli, two_runs: Path) -> None:
    write_run(two_runs, "llama2-tiny-20260103-120000-cccc", floor=2.2, overrides=("train.seed=7",))
    ids = cli("ls", "-q").out.split()
    document = cli("compare", *ids, "--group-by", "preset", "--json").json()
    assert list(map(len, document["groups"].values())) == [2, 1]
    assert "mean ± std at step 50" in cli("compare", *ids, "--group-by", "model.ffn", "--at", "step=50").out
    wrong = cli("compare", *ids, "--group-by", "model.fnn")
    assert wrong.code == 2
    assert "Did you mean 'model.ffn'?" in " ".join(wrong.err.split())


def test_ls_of_nothing_says_how_to_start(cli: Cli) -> None:
    result = cli("ls")
    assert (result.code, result.out) == (0, "")
    assert "tuitrain launch" in result.err


def test_ls_says_of_a_path_that_it_is_no_folder(cli: Cli, two_runs: Path, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    log.write_text("step,loss\n1,2\n")
    assert f"{log} is a file: `tuitrain show` reads it." in cli("ls", str(log)).err
    assert f"There is no folder {tmp_path / 'none'}." in cli("ls", str(tmp_path / "none")).err


@pytest.mark.parametrize(("status", "code"), [("completed", 0), ("stopped", 103), ("failed", 100), (None, 1)])
def test_status_is_one_line_and_an_exit_code(cli: Cli, runs_dir: Path, status: str | None, code: int) -> None:
    write_run(runs_dir, "some-run", status=status, start=1.7e9)
    result = cli("status", "some")
    assert result.code == code
    assert result.out.count("\n") == 1
    assert (status or "unknown") in result.out
    assert cli("status", "some", "--json").json()["status"] == (status or "unknown")


def test_status_of_a_live_run_is_101_also_after_the_timeout(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "live", status=None)
    assert cli("status", "live").code == 101
    assert cli("status", "live", "--wait", "--timeout", "0").code == 101


def test_show_prints_the_sections_of_a_run(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "shown", overrides=("train.max_steps=100", "model.norm=layernorm"))
    out = cli("show", "shown").out
    assert "4L-4H-128D-RoPE-LN-SwiGLU-PreNorm" in out
    assert "NVIDIA A100-SXM4-80GB" in out
    assert "model.norm" in out
    assert "rmsnorm → layernorm" in out
    data = cli("show", "shown", "--json").json()
    assert data["run"]["architecture"]["n_layers"] == 4
    assert data["config_difference"]["train.max_steps"] == [load_config(TINY).train.max_steps, 100]
    assert data["newest"]["step"] == 100


def test_show_has_the_configuration_of_a_run_that_has_it_in_its_log_alone(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "loop")
    assert "hyperparameters" not in cli("show", "loop").out
    run.config.unlink()
    assert "\nhyperparameters\n" in cli("show", "loop").out


def test_show_says_where_the_time_and_the_money_went(cli: Cli, runs_dir: Path, tmp_path: Path) -> None:
    write_run(runs_dir, "shown")
    out = cli("show", "shown", "--usd-per-gpu-hour", "36").out
    assert re.search(r"^  cost +1\.01 USD$", out, re.MULTILINE)
    assert re.search(r"^  training time +0\.51 s, 0\.5 % \(100 of 300 steps\)$", out, re.MULTILINE)
    assert re.search(r"^  wall clock +1 m 41 s$", out, re.MULTILINE)
    assert "Good generalisation" in out
    data = cli("show", "shown", "--usd-per-gpu-hour", "36", "--json").json()
    spent = data["summary"]["time_spent"]
    assert data["summary"]["cost_usd"] == pytest.approx(1.01)
    assert sum(spent[key] or 0 for key in spent if key not in ("elapsed_s", "data_wait_s")) == pytest.approx(101)
    assert data["generalization"].startswith("Good generalisation")


def test_the_price_of_a_gpu_hour_can_be_a_setting(
    cli: Cli, runs_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(runs_dir, "shown")
    monkeypatch.setenv("TUITRAIN_CONFIG_DIR", str(tmp_path))
    (tmp_path / "config.toml").write_text("usd_per_gpu_hour = 36\n")
    assert cli("show", "shown", "--json").json()["cost_usd"] == pytest.approx(1.01)
    assert cli("show", "shown", "--json", "--usd-per-gpu-hour", "72").json()["cost_usd"] == pytest.approx(2.02)
    (tmp_path / "config.toml").write_text('usd_per_gpu_hour = "two"\n')
    wrong = cli("show", "shown")
    assert wrong.code == 2
    assert "usd_per_gpu_hour = 'two' is not valid: it should be a price in USD" in wrong.err


def test_logs_prints_the_end_the_whole_or_what_matches(cli: Cli, runs_dir: Path) -> None:
    run = write_run(runs_dir, "logged")
    run.console.write_text("one\ntwo\nthree\n", encoding="utf-8")
    assert cli("logs", "logged").out == "one\ntwo\nthree\n"
    assert cli("logs", "logged", "-n", "2").out == "two\nthree\n"
    assert cli("logs", "logged", "--grep", "^t.*e").out == "three\n"
    assert cli("logs", "logged", "-f", "-n", "1").out == "three\n"
    assert cli("logs", "logged", "--json").json()["lines"] == ["one", "two", "three"]
    assert cli("logs", "logged", "--grep", "(").code == 2


def test_enormous_numbers_do_not_stretch_a_list(cli: Cli, runs_dir: Path) -> None:
    with EventWriter(runs_dir / "odd/metrics.jsonl") as log:
        log.write(Run(run_id="odd", name="odd", total_steps=2**63 - 1))
        log.write(Step(step=2**63 - 1, loss=1e308))
    out = cli("ls").out
    assert "9.22e18/9.22e18" in out
    assert "1e+308" in out
    assert max(map(len, out.splitlines())) < 120


def test_columns_stand_under_one_another_also_with_wide_characters(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([Column("name", ["模型", "gpt2"]), Column("loss", ["2.5", "12.25"], "right")])
    assert capsys.readouterr().out == "name   loss\n模型    2.5\ngpt2  12.25\n"


def test_the_last_lines_of_an_enormous_console_are_read_from_its_end(runs_dir: Path) -> None:
    run = write_run(runs_dir, "logged")
    with run.console.open("wb") as console:
        console.truncate(4 << 30)
        console.seek(0, 2)
        console.write(b"\none\ntwo\nthree\n")
    limited = "import resource as r, sys; r.setrlimit(r.RLIMIT_AS, (2 << 30, 2 << 30)); from tuitrain.cli import main; "
    command = [sys.executable, "-c", f"{limited} main()", "logs", str(run.path), "-n", "2"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout) == (0, "two\nthree\n"), result.stderr


def test_diff_shows_what_differs(cli: Cli, two_runs: Path) -> None:
    result = cli("diff", "gpt2", "llama2", "--json")
    assert result.code == 0
    assert result.json()["model.norm"] == {
        "gpt2-tiny-20260101-120000-aaaa": "layernorm", "llama2-tiny-20260102-120000-bbbb": "rmsnorm"
    }  # fmt: skip
    assert "model.seq_len" not in result.json()
    assert "model.seq_len" in cli("diff", "gpt2", "llama2", "--all", "--json").json()
    assert cli("diff", "gpt2", "llama2", "--exit-code").code == 1
    assert cli("diff", "gpt2", "gpt2", "--exit-code").code == 0
    assert "model.norm" in cli("diff", "gpt2", "llama2").out


def test_diff_names_runs_of_one_id_by_their_paths(cli: Cli, tmp_path: Path) -> None:
    paths = [write_run(tmp_path / part, "same", steps=2, overrides=(f"optim.lr={lr}",)).path.resolve()
             for part, lr in (("here", 0.1), ("there", 0.2))]  # fmt: skip
    assert cli("diff", *map(str, paths), "--json").json() == {"optim.lr": {str(paths[0]): 0.1, str(paths[1]): 0.2}}
    assert all(str(path) in cli("diff", *map(str, paths)).out for path in paths)


@pytest.mark.parametrize(
    "command", ["status", "show", "logs", "stop", "resume", "checkpoint", "eval", "snapshot", "watch", "sample"]
)
def test_a_run_that_is_not_there_is_one_sentence_and_exit_code_3(cli: Cli, two_runs: Path, command: str) -> None:
    result = cli(command, "lama2-tiny-20260102-120000-bbbb")
    assert result.code == 3
    assert result.out == ""
    assert "Did you mean 'llama2-tiny-20260102-120000-bbbb'?" in result.err
    assert result.err.count("\n") == 1


def test_an_ambiguous_prefix_names_the_candidates(cli: Cli, two_runs: Path) -> None:
    write_run(two_runs, "gpt2-tiny-20260104-120000-dddd", preset="gpt2-tiny")
    result = cli("status", "gpt2")
    assert result.code == 3
    assert "gpt2-tiny-20260101-120000-aaaa" in result.err


def test_a_run_without_numbers_is_left_out_of_the_plots(cli: Cli, two_runs: Path, tmp_path: Path) -> None:
    empty = two_runs / "fresh-20260105-120000-eeee"
    empty.mkdir()
    log = two_runs / "gpt2-tiny-20260101-120000-aaaa" / "metrics.jsonl"
    (empty / "metrics.jsonl").write_text(log.read_text(encoding="utf-8").splitlines()[0] + "\n", encoding="utf-8")
    options = ["--figure", "loss", "--dpi", "30", "--out", "out", "--json"]
    result = cli("export", "plots", "gpt2", "fresh", "llama2", *options)
    assert result.code == 0
    assert [Path(path).name for path in result.json()] == [
        "gpt2-tiny-20260101-120000-aaaa-loss.png", "llama2-tiny-20260102-120000-bbbb-loss.png",
        "gpt2-tiny-vs-llama2-tiny-loss.png",
    ]  # fmt: skip
    assert result.err == "fresh-20260105-120000-eeee is left out: its log has no step and no evaluation yet.\n"
    none = cli("export", "plots", "fresh", "--out", "none")
    assert (none.code, none.out) == (2, "")
    assert "nothing to draw yet" in none.err
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("command", [("compare", "a", "b"), ("export", "plots")])
def test_the_error_for_a_wrong_axis_lists_the_axes(cli: Cli, command: tuple[str, ...]) -> None:
    result = cli(*command, "--x", "wishes")
    assert result.code == 2
    assert "'wishes' is not one of 'step', 'tokens', 'time'" in result.err
    assert "Value error" not in result.err


def test_a_log_file_alone_is_a_run(cli: Cli, two_runs: Path, tmp_path: Path) -> None:
    log = tmp_path / "copied.jsonl"
    log.write_bytes((two_runs / "gpt2-tiny-20260101-120000-aaaa" / "metrics.jsonl").read_bytes())
    assert cli("status", str(log)).code == 0
    assert cli("diff", str(log), "llama2", "--json").json()["model.ffn"] == {
        "copied": "gelu",
        "llama2-tiny-20260102-120000-bbbb": "swiglu",
    }


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_counts_what_is_drawn_on_a_terminal_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for stream, term, shown in ((_Terminal(), "xterm-256color", True), (_Terminal(), "dumb", False),
                                (io.StringIO(), "xterm-256color", False)):  # fmt: skip
        monkeypatch.setenv("TERM", term)
        monkeypatch.setattr(sys, "stderr", stream)
        assert list(with_progress(["a", "b", "c"])) == ["a", "b", "c"]
        assert ("drawing" in stream.getvalue()) is shown


def test_the_configuration_of_a_run_that_has_not_begun_is_that_of_its_directory(cli: Cli, runs_dir: Path) -> None:
    write_run(runs_dir, "over", preset="gpt2-tiny", overrides=("optim.lr=1e-3",))
    overrides = ["train.device=cpu", "optim.lr=2e-3"]
    (waits,) = enqueue_all([load_config("gpt2-tiny", overrides)], runs_dir, Label("waits"))
    compared = cli("compare", "over", waits.run_id, "--json").json()
    rows = {row["key"]: row["values"] for row in compared["config"]}
    assert rows["optim.lr"] == {"over": "0.001", waits.run_id: "0.002"}
    assert compared["unconfigured"] == []
    groups = cli("compare", "over", waits.run_id, "--group-by", "lr").out
    assert "0.001 (1 run)" in groups and "0.002 (1 run)" in groups
    assert cli("show", waits.run_id, "--json").json()["config_difference"]["optim.lr"] == [0.003, 0.002]
    waits.config.write_text("[model]\nd_modle = 4\n")
    assert cli("compare", "over", waits.run_id, "--json").json()["unconfigured"] == [waits.run_id]
