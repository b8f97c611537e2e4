"""Documents and source code that quote a log are not among the runs of a folder; a log is, whatever it is called."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tuitrain.readers.discover import sources_of
from tuitrain.readers.model import PROBE_BYTES

STEPS = [f"step {n} | loss {5 - n / 10:.3f} | lr 1e-3" for n in range(1, 13)]
NANOGPT = [f"iter {n}: loss {5 - n / 10:.4f}, time 120.55ms, mfu 40.12%" for n in range(6)]
PROSE = """Training a small model

This is how to train a small model of your own. It takes a few minutes on one GPU, and less than an hour on a laptop.
First you need to install the requirements and to prepare the data, which is done by a script in the folder of the data.

Then start the training as in the example. If there is not enough memory, you can make the batches smaller.
The numbers that you see are those of the loss, which should be below 3 by the end of the first epoch.
"""
AFTER = """
When it is done, the model is saved in the folder of the settings, together with the state of the optimizer.
You can go on from there at any time, as all of the state is in that file, and compare it with the results in the paper.
For questions and for problems with this code there is a list of answers on the page of the project.
"""
CODE = '''import torch
from torch import nn


class Trainer:
    """Trains, and prints

    {}
    """

    def __init__(self, model):
        self.model = model

    def train(self, steps):
        for step in range(steps):
            loss = self.model(step)
            print(f"step {{step}} | loss {{loss:.3f}}")
'''
WARNINGS = [
    "Some weights of GPT2LMHeadModel were not initialized from the model checkpoint at gpt2 and are newly initialized.",
    "You should probably TRAIN this model on a down-stream task to be able to use it for predictions and inference.",
    "Setting `pad_token_id` to `eos_token_id` for open-end generation, as it is not set in the configuration.",
    "The attention mask is not set and cannot be inferred from the input because the pad token is the same.",
    "Using a slow tokenizer, since it is the only one that is available for this model and for this version.",
    "The cache is not used, as it is not compatible with gradient checkpointing, and you asked for that.",
]
SAMPLE = [
    "KING: What is the matter with you, and where is the king of this land?",
    "DUKE: He is in the garden with the queen, and will not be seen by any of us.",
    "KING: Then we are lost, for it is he that can save the city and all in it.",
    "DUKE: Be not afraid of that, my lord; there will be an end to it as to all.",
]
TRACEBACK = """Traceback (most recent call last):
  File "train.py", line 10, in <module>
    for step in range(steps):
    return self.model(step)
import torch
RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB of the memory that is left on the device.
"""


def text(*parts: str | list[str]) -> str:
    return "".join(part if isinstance(part, str) else "\n".join(part) + "\n" for part in parts)


def notebook() -> str:
    cell = {"cell_type": "code", "outputs": [{"output_type": "stream", "text": [f"{line}\n" for line in STEPS]}]}
    return json.dumps({"cells": [cell], "nbformat": 4}, indent=1)


DOCUMENTS = {
    "README": text(PROSE, "```\n", STEPS, "```\n", AFTER),
    "README.txt": text(PROSE, STEPS[:4], AFTER),
    "PKG-INFO": text("Metadata-Version: 2.1\nName: x\n\n", PROSE, "~~~\n", NANOGPT, "~~~\n", AFTER),
    "notes.txt": text(PROSE, [f"    {line}" for line in NANOGPT[:3]], AFTER),
    "README.md": text("# Model\n\n```console\n$ python train.py\n", STEPS * 20, "```\n"),
    "short.md": text("# Log\n\n", STEPS[:3], "\nIt falls.\n"),
    "results.md": "# Results\n\n| step | loss |\n|---|---|\n| 100 | 2.3 |\n| 200 | 2.1 |\n| 300 | 2.0 |\n",
    "RESULTS": "| step | loss |\n|-----:|:-----|\n| 100 | 2.3 |\n| 200 | 2.1 |\n| 300 | 2.0 |\n",
    "guide.rst": text(PROSE, ".. code-block:: text\n\n", [f"   {line}" for line in STEPS], AFTER),
    "trainer.py": CODE.format("\n    ".join(STEPS)),
    "test_trainer.py": text("LOG = '''\n", NANOGPT, "'''\n\n\ndef test_loss():\n    assert read(LOG).loss == 4.5\n"),
    "trainer.inc": CODE.format("\n    ".join(STEPS[:4])),
    "kernel.cu": text("// Trains:\n", [f"// {line}" for line in STEPS], "__global__ void f(float *x) {\n}\n"),
    "page.html": text("<html><body><pre>\n", STEPS, "</pre></body></html>\n"),
    "notebook.ipynb": notebook(),
    "truth.json": json.dumps({"lines": NANOGPT}, indent=1),
}
LOGS = {
    "train.log": text(STEPS),
    "log.md": text(STEPS),
    "first-lines.txt": text(WARNINGS * 3, STEPS[:3]),
    "warned.txt": text(WARNINGS, STEPS),
    "samples.txt": text(*(part for line in STEPS for part in ([line], SAMPLE))),
    "crashed.txt": text(STEPS[:3], TRACEBACK),
    "code-first.txt": text(CODE.format("") * 3, STEPS[:4]),
    "settings-first": text('{\n  "lr": 0.001,\n  "layers": 12\n}\n', NANOGPT),
    "long-head.log": text([f"loading the part {n} of the data" for n in range(PROBE_BYTES // 20)], STEPS),
    "dict.log": text([f"{{'step': {n}, 'loss': {5 - n / 10}}}" for n in range(5)]),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_that_quotes_a_log_is_none_among_others_and_one_by_its_path(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(DOCUMENTS[name])
    assert sources_of(tmp_path) == []
    if name not in ("notebook.ipynb", "truth.json", "page.html", "kernel.cu", "test_trainer.py"):
        assert len(sources_of(tmp_path / name)) == 1


@pytest.mark.parametrize("name", LOGS)
def test_a_log_is_one_among_others(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(LOGS[name])
    assert [source.name for source in sources_of(tmp_path)] == [name]
