"""`tuitrain audit`: its table, its exit code, and what it says of the logs of other tools."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.readers.test_corpus import CASES, CORPUS
from tests.support import write_run
from tuitrain.audit import CHECKS

DOCS = Path(__file__).parents[2] / "docs/audit.md"
FOUND = {
    "seed003-run-json": {
        # Twelve layers 768 wide have more than 21 million parameters, and these take no 6.4 GFLOP a token.
        "impossible": {"parameters", "flops"},
        # 12 sequences of 1,024 tokens in 234 ms are more than 21,940 tokens a second.
        "suspicious": {"throughput"},
    },
    # Its learning rate falls below 0.
    "wandb-offline-killed": {"impossible": {"schedule"}},
    "fairseq-json-log": {"suspicious": {"perplexity"}},
    # Their clocks and step times were made up apart from each other.
    "lingua-jsonl-finished": {"suspicious": {"step-clock"}},
    "megatron-console-finished": {"suspicious": {"step-clock"}},
    "megatron-console-restarted": {"suspicious": {"step-clock"}},
    # nanoGPT's time of an iteration includes its evaluation. One console has two runs, the second a resume.
    "nanogpt-console-finished": {"suspicious": {"evaluation-time"}},
    "nanogpt-console-resumed": {"suspicious": {"evaluation-time", "steps"}},
    # The learning rates of the configuration and of the log are of two formulas.
    "mlflow-filestore": {"suspicious": {"schedule"}},
    "trackio-three-runs": {"suspicious": {"schedule"}},
    "wandb-offline-three-runs": {"suspicious": {"schedule"}},
}
"""What is found in the logs of the corpus; nothing in the others."""


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_logs_of_other_tools_have_no_finding_that_is_not_true(cli: Cli, case: Path) -> None:
    paths = [str(case / each) for each in json.loads((case / "truth.json").read_text())["open"]]
    result = cli("audit", *paths, "--json")
    found: dict[str, set[str]] = {}
    for run in result.json():
        for each in run["findings"]:
            found.setdefault(each["severity"], set()).add(each["check"])
    assert found == FOUND.get(case.name, {})
    assert result.code == ("impossible" in found)


def test_the_table_wraps_and_says_what_was_checked(cli: Cli, runs_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = write_run(runs_dir, "one", steps=30)
    assert cli("audit", "one").code == 1, "the fixture rounds a perplexity"
    text = run.metrics.read_text()
    run.metrics.write_text(re.sub(r'"mfu":[\d.]+', '"mfu":0.9', text))
    monkeypatch.setenv("COLUMNS", "70")
    result = cli("audit", "one", "-v")
    assert result.code == 1
    lines = result.out.splitlines()
    assert all(len(line) <= 70 for line in lines[:20] if "agrees" not in line)
    assert re.match(r"one  \d impossible, .* of 19 checks agree", lines[0])
    assert any(line.startswith("impossible  mfu ") for line in lines)
    assert re.search(r"^  parameters +agrees: parameters and the shapes of the architecture$", result.out, re.MULTILINE)


def test_a_missing_run_is_not_found(cli: Cli) -> None:
    assert cli("audit", "nowhere").code == 3
    assert cli("audit").code == 2


def test_what_the_user_supplies_is_checked_too(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("step,loss,tokens_per_sec,mfu\n1,2.5,100000,0.24\n2,2.4,100000,0.24\n")
    assert cli("audit", "log.csv").code == 0
    facts = ("--set", "gpu=A100", "--set", "flops_per_token=750M")
    assert cli("audit", "log.csv", *facts).code == 0
    wrong = cli("audit", "log.csv", "--set", "gpu=B200", "--json")
    assert wrong.code == 1
    (finding,) = wrong.json()[0]["findings"]
    assert finding["check"] == "mfu" and "the A100" in finding["likelier"]


def test_the_figures_on_the_page_are_what_it_says(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = DOCS.read_text(encoding="utf-8")
    lines = [line for line in page.split("```json\n")[1].split("```")[0].splitlines() if line]
    (tmp_path / "paper.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    result = cli("audit", "paper.jsonl", "--json")
    assert result.code == 1
    found = {each["check"]: each["message"] for each in result.json()[0]["findings"]}
    assert found.keys() == {"throughput", "mfu", "mfu-limit"}
    assert "1/4.01" in found["throughput"] and "MFU of 93.6 %" in found["mfu-limit"]
    document = CORPUS / "seed003-run-json/data/out/run_20250103_143022.json"
    monkeypatch.setenv("COLUMNS", "120")
    printed = cli("audit", str(document)).out.splitlines()
    assert "\n".join(printed[1:]) in page


def test_the_page_lists_every_check() -> None:
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \|", DOCS.read_text(encoding="utf-8"), re.MULTILINE)
    assert rows == [(each.name, each.compares, each.tolerance) for each in CHECKS]
