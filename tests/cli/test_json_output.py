"""What every command prints with --json is what `tuitrain schema json` says, and valid by it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Cli
from tests.cli.test_surface import COMMANDS
from tests.support import write_run
from tuitrain.cli.json_output import OUTPUTS, check_output
from tuitrain.config import load_config
from tuitrain.launch.local import Label
from tuitrain.launch.queue import enqueue_all

CORPUS = Path(__file__).parents[1] / "data/corpus"
COMMAND_LINES = {
    "ls": ["ls", "ls status:failed", "ls -n 1"],
    "status": ["status one", "status live", "status empty"],
    "show": ["show one", "show live", "show empty", f"show {CORPUS}/csv-plain/data/log.csv"],
    "check": ["check one live empty", "check"],
    "logs": ["logs one"],
    "compare": [
        "compare one two", "compare one two empty", "compare one two --at step=10",
        "compare one two live --group-by optim.lr",
    ],
    "audit": ["audit one two", "audit empty", f"audit {CORPUS}/seed003-run-json/data"],
    "diff": ["diff one two", "diff one one", "diff one two --all"],
    "tag": ["tag one a", "tag one"],
    "note": ["note one text", "note one"],
    "queue": ["queue", "queue move waits 1", "queue rm waits"],
    "stop": ["stop one two", "stop live --no-wait"],
    "checkpoint": ["checkpoint live"],
    "eval": ["eval live"],
    "snapshot": ["snapshot live"],
    "pause": ["pause live"],
    "continue": ["pause live", "continue live"],
    "launch": [
        "launch gpt2-tiny --dry-run", "launch gpt2-tiny train.device=cpu --slurm --dry-run", "launch --detach -- true"
    ],
    "plan": ["plan gpt2-tiny", "plan llama3-8b --gpu H100", "plan gpt2-124m data.tokenizer=hf:x model.vocab_size=none"],
    "presets": ["presets"],
    "doctor": ["doctor --quick", "doctor --slurm"],
    "export": ["export plots one --dpi 30", "export report one --dpi 30"],
    "import": [f"import {CORPUS}/jsonl-strings-types/data {CORPUS}/lingua-jsonl-restarted-nan-cut/data"],
    "rm": ["rm two --yes"],
}  # fmt: skip
TESTED_WITH_THE_ENGINE = {"sample", "resume", "fork"}
"""They take a trained model; the tests of the engine call them."""


@pytest.mark.parametrize("command", COMMAND_LINES)
def test_the_output_of_a_command_is_as_documented(cli: Cli, runs_dir: Path, command: str) -> None:
    write_run(runs_dir, "one", steps=30)
    write_run(runs_dir, "two", steps=30, preset="gpt2-tiny")
    write_run(runs_dir, "live", steps=30, status=None)
    if command == "queue":
        enqueue_all([load_config("gpt2-tiny", ["train.device=cpu", "name=waits"])], runs_dir, Label("waits"))
    (runs_dir / "empty").mkdir()
    (runs_dir / "empty" / "metrics.jsonl").touch()
    for line in COMMAND_LINES[command]:
        words = line.split()
        at = words.index("--") if "--" in words else len(words)
        result = cli(*words[:at], "--json", *words[at:])
        assert result.out, result.err
        check_output(command, result.out)


def test_every_command_that_prints_json_is_documented() -> None:
    having = {path[0] for path, command in COMMANDS.items() if any("--json" in p.opts for p in command.params)}
    assert having == {*COMMAND_LINES, *TESTED_WITH_THE_ENGINE} == set(OUTPUTS)
