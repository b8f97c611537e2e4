"""Consoles of loops that nobody specified, and streams of unknown format."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readers.consoles import console_of, read, values
from tuitrain.readers.discover import sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.inventory import take_inventory
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Row

LINES = {
    "step 10: train loss 2.0765, val loss 2.0678": (10, {"train loss": 2.0765, "val loss": 2.0678}),
    "step    10 | loss: 6.9 | lr 1e-4 | norm: 0.3 | dt: 300ms | tok/sec: 1,500": (
        10, {"loss": 6.9, "lr": 1e-4, "norm": 0.3, "dt_ms": 300, "tok/sec": 1500},
    ),
    "step:10/5100 val_loss:4.5 train_time:1234ms step_avg:123.4ms": (
        10, {"val_loss": 4.5, "train_time_ms": 1234, "step_avg_ms": 123.4},
    ),
    "step    1/18865 | loss 10.98 (+nanz)| norm 15.36 (+nanz)| lr 1.2e-06 | 3000 ms | 48.9% bf16 MFU | 17000 tok/s": (
        1, {"loss": 10.98, "norm": 15.36, "lr": 1.2e-06, "time_ms": 3000, "mfu_percent": 48.9, "tok/s": 17000},
    ),
    "[2026-01-02 12:00:00,123] [INFO] trainer: global_step=1,000 loss=nan lr=3e-4": (1000, {"loss": "nan", "lr": 3e-4}),
    "7: iter 5: loss=2.5, mem=41.5GiB (52.3%), util: 98%": (5, {"loss": 2.5, "mem_gib": 41.5, "util_percent": 98}),
    "\x1b[32mIteration 100\x1b[0m, Loss = 2.3, tokens: 1.5M, max_mem: 1234M": (
        100, {"Loss": 2.3, "tokens": 1.5e6, "max_mem_mb": 1234},
    ),
    "{'step': 10, 'loss': 2.5, 'reward/mean': -0.5}": (10, {"loss": 2.5, "reward/mean": -0.5}),
    "step:7 - actor/loss:0.1 - actor/lr:1e-6 - timing_s/gen:10.2": (
        7, {"actor/loss": 0.1, "actor/lr": 1e-6, "timing_s/gen": 10.2},
    ),
    "[06/01 12:00:00 d2.utils.events]:  eta: 1:00:00  iter: 19  total_loss: 1.2  time: 0.3  lr: 1e-4  max_mem: 1234M": (
        19, {"total_loss": 1.2, "time": 0.3, "lr": 1e-4, "max_mem_mb": 1234},
    ),
    "Train Epoch: 1 [640/60000 (1%)]\tLoss: 2.29": (640, {"Loss": 2.29}),
    "Epoch(train) [1][50/100]  lr: 1.0e-02  eta: 0:00:10  time: 0.1  loss: 2.3": (
        50, {"lr": 0.01, "time": 0.1, "loss": 2.3},
    ),
    "Epoch [1/10], Step [100/600], Loss: 0.5": (100, {"Loss": 0.5}),
    "epoch 0 step 40 loss 3.3054": (40, {"loss": 3.3054}),
    "step 1 loss 1.5 lr 1e-3": (1, {"loss": 1.5, "lr": 1e-3}),
    "2026-01-02 12:00:00 step 7/100 (7%) train loss 1.5 val loss 1.75 grad norm 0.5": (
        7, {"train loss": 1.5, "val loss": 1.75, "grad norm": 0.5},
    ),
    "iter 3 foo 2 bar -0.5 time 35 ms T 4": (3, {"foo": 2, "bar": -0.5, "time_ms": 35, "T": 4}),
    "step 9 loss nan (avg 2.5) acc 52.5% tok/s 5,000": (9, {"loss": "nan", "acc_percent": 52.5, "tok/s": 5000}),
    "step 12 | loss 1.5 lr 1e-3 | 35 ms": (12, {"loss": 1.5, "lr": 1e-3, "time_ms": 35}),
    "loss 1.5 lr 1e-3 step 4": (4, {"loss": 1.5, "lr": 1e-3}),
    "INFO:root:step 3 loss: 1.25": (3, {"loss": 1.25}),
    "INFO 12:00:00 trainer.py:123] step=4 loss=2.5 lr=1.0e-04 tokens/s=12,345 mem=12.3GB": (
        4, {"loss": 2.5, "lr": 1e-4, "tokens/s": 12345, "mem_gb": 12.3},
    ),
    "2026-01-02 03:04:05.678 | INFO     | __main__:train:42 - iter 5: loss 2.5, lr 1e-4": (
        5, {"loss": 2.5, "lr": 1e-4},
    ),
    "step 6/30: loss 2.5 | 12.3K tok/s": (6, {"loss": 2.5, "tok/s": 12300}),
    "{'step': 7, 'loss': tensor(2.5, device='cuda:0', grad_fn=<NllLossBackward0>), 'lr': np.float64(0.1)}": (
        7, {"loss": 2.5, "lr": 0.1},
    ),
    "step=8 loss=tf.Tensor(2.5, shape=(), dtype=float32) norm=Array(0.5, dtype=float32)": (
        8, {"loss": 2.5, "norm": 0.5},
    ),
    "Training Epoch: 1/3, step 9/100 completed (loss: 2.5)": (9, {"loss": 2.5}),
    "Training epoch 0, iteration 9/99 | lr: 1.6e-6 | global_batch_size: 32 | global_step: 9 | train_loss: 11.03": (
        9, {"lr": 1.6e-6, "global_batch_size": 32, "train_loss": 11.03},
    ),
    "epoch: 3, loss: 0.5, val_loss: 0.6": (3, {"loss": 0.5, "val_loss": 0.6}),
    " 42%|████      | 42/100 [00:10<00:20,  3.9it/s, loss=2.3, lr=1e-4]": (42, {"loss": 2.3, "lr": 1e-4}),
    "Epoch 0:  50%|█████     | 5/10 [00:00<00:00, 99.1it/s, v_num=0, train_loss=2.5]": (5, {"train_loss": 2.5}),
    "42it [00:10,  3.9it/s, loss=2.3]": (42, {"loss": 2.3}),
    "Epoch 0: :   1%|          | 10/1000 [00:10<16:30, reduced_train_loss=10.90, global_step=9.000]": (
        9, {"reduced_train_loss": 10.9},
    ),
    "Epoch: [0][ 10/391]\tTime  0.5 ( 0.6)\tLoss 6.5 (6.7)\tAcc@1   1.00 (  0.50)": (
        10, {"Time": 0.5, "Loss": 6.5, "Acc@1": 1},
    ),
    "| epoch   1 |   200/ 2983 batches | lr 5.00 | ms/batch 12.00 | loss  8.14 | ppl  3421.11": (
        200, {"lr": 5, "ms/batch": 12, "loss": 8.14, "ppl": 3421.11},
    ),
    " 42/100 [=====>....] - ETA: 3s - loss: 0.5 - accuracy: 0.9": (42, {"loss": 0.5, "accuracy": 0.9}),
    "Epoch(train)  [1][ 10/500]  lr: 1.0000e-03  eta: 1:12:31  memory: 4123  loss: 2.5": (
        10, {"lr": 1e-3, "memory": 4123, "loss": 2.5},
    ),
    "Train: 0 [  25/1251 (  2%)]  Loss: 6.94 (6.95)  Time: 0.412s, 2485.21/s  (0.432s)  LR: 5.0e-04": (
        25, {"Loss": 6.94, "Time_s": 0.412, "LR": 5e-4},
    ),
    "I1120 10:00:00.123456 140123 logging_writer.py:48] [100] learning_rate=0.0003, train_loss=2.5": (
        100, {"learning_rate": 3e-4, "train_loss": 2.5},
    ),
    "Progress on:train 1.20kit/10.0kit rate:1.2it/s remaining:12:31 elapsed:01:22 postfix:loss=2.5": (
        1200, {"loss": 2.5},
    ),
    "\r1|40|Loss: 2.5:  40%|████      | 40/100 [00:30<10:00,  6.1s/it]": (40, {"Loss": 2.5}),
    "loss 2.5 lr 1e-4:  40%|████      | 40/100 [00:30<10:00,  6.1s/it]": (40, {"loss": 2.5}),
    "\x1b[36m(TaskRunner pid=12, ip=10.0.0.1)\x1b[0m step:3 - actor/lr:1e-06": (3, {"actor/lr": 1e-6}),
    "step 5/10 | 1.2 s/step | mem 61.2/80.0 GB | 412.3k tok/s": (
        5, {"step_time_s": 1.2, "mem_gb": 61.2, "tok/s": 412300},
    ),
    "11/20/2026 10:00:00 [INFO|DP=0|PP=1|TP=2]: iteration: 6 / 2000 | lm_loss: 2.5 | tokens_per_sec: 412K": (
        6, {"lm_loss": 2.5, "tokens_per_sec": 412000},
    ),
    "[10:00:00] INFO     step 7 ┃ loss 2.5 ┃ lr 1e-4      train.py:42": (7, {"loss": 2.5, "lr": 1e-4}),
    "[1,  2000] loss: 2.173": (2000, {"loss": 2.173}),
    "timestep 8,000 ep_rew_mean=2.5": (8000, {"ep_rew_mean": 2.5}),
    " 42/100 ━━━━━━━━━━━━━━━━━━━━ 1s 5ms/step - accuracy: 0.9 - loss: 0.5": (42, {"accuracy": 0.9, "loss": 0.5}),
}  # fmt: skip


@pytest.mark.parametrize("line", LINES, ids=lambda line: line[:40])
def test_a_line_gives_its_step_and_its_numbers(line: str) -> None:
    rows = [item for item in read("console", f"{line}\n".encode())[0] if isinstance(item, Row)]
    x, expected = LINES[line]
    assert [
        (row.x, {name: value if value == value else "nan" for name, value in row.values.items()}) for row in rows
    ] == [(x, expected)]


@pytest.mark.parametrize(
    "line",
    [
        "max steps: 1000, batch size: 32", "saving every 100 steps, keep = 3",
        "Downloading: 100%|███| 10/10 [00:01<00:00]", "Downloading 3.2G:  50%|██ | 5/10 [00:01<00:01]",
        "step 10 began", "In step 3: see section 4.2", "2026-01-02 12:00:00 INFO started, pid=1234", "loss: 2.3",
        "  File \"/a/b.py\", line 12, in step", "steps_per_print .............. 5", "version: 1.2.3, step 1.2.3",
        "step 3 of the plan has 5 parts", "step 3 of the plan 5", "Step 2 takes 5 and 7", "step 4 use 2 or 3.5",
        "Step 1 mix 2.5 cups of flour with 1.5 eggs.", "step 5 page 12 line 3 word 4",
        "In epoch 3 the loss 2.5 was lower",
        "step 3 loss 2.5 and accuracy 0.9 are shown in figure 4", "Iteration 2 loss 2.5 lr 1e-3.", "step 6 at 3 at 5.5",
        "Step 3 section 4 chapter 5", "step 7 on 3.5 cores from 2.5 nodes",
    ],
)  # fmt: skip
def test_other_lines_give_nothing(line: str) -> None:
    assert read("console", f"{line}\n".encode())[0] == []


def test_a_step_that_begins_anew_in_each_epoch_goes_on() -> None:
    text = "".join(f"Epoch [{e}/3], Step [{s}/100], Loss: {e + s}\n" for e in (1, 2, 3) for s in (50, 100))
    assert list(values("console", text.encode())["Loss"]) == [50, 100, 150, 200, 250, 300]


def test_bars_of_epochs_go_on_and_those_of_evaluations_do_not_count() -> None:
    text = "".join(
        f"\rEpoch {e}:  50%|█████     | {n}/10 [00:00<00:00, 9.1it/s, loss={e}.{n}]\r"
        f"Validation: 100%|██████████| 2/2 [00:00<00:00, 9.1it/s, loss=7.0]\r"
        for e in (0, 1)
        for n in (5, 10)
    )
    text += "\n"
    read_values = values("console", text.encode())
    assert list(read_values["loss"]) == [5, 10, 15, 20]
    assert list(read_values["validation/loss"]) == [5, 10, 15, 20]


def test_a_restart_goes_back_to_the_step_it_says() -> None:
    text = b"step 10 loss 3.0\nstep 20 loss 2.0\nstep 10 loss 2.5\n"
    assert [item.x for item in read("console", text)[0]] == [10, 20, 10]


def test_an_evaluation_without_a_step_belongs_to_the_last_one() -> None:
    text = b"step 10 | loss 3.0\nValidation loss: 2.9\nEpoch 1: val_acc=0.5\neval | step 10 | loss: 2.8\n"
    assert values("console", text) == {
        "loss": {10: 3.0}, "Validation loss": {10: 2.9}, "val_acc": {10: 0.5}, "eval/loss": {10: 2.8},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Test: [   3/48]  Loss:   1.5 ( 1.6)  Acc@1:  75.0", {"test/Loss": 1.5, "test/Acc@1": 75.0}),
        ("Epoch(val) [3][100/100]    coco/bbox_mAP: 0.312  time: 0.05", {"val/coco/bbox_mAP": 0.312, "val/time": 0.05}),
        ("Test set: Average loss: 0.0581, Accuracy: 9812/10000 (98%)", {"test/Average loss": 0.0581}),
        ("Validation results: loss 2.5 | perplexity 12.2", {"validation/loss": 2.5, "validation/perplexity": 12.2}),
    ],
)
def test_how_far_an_evaluation_is_is_no_step_of_the_training(line: str, expected: dict[str, float]) -> None:
    parser = console_of("console", b"Epoch: [1][300/391] Loss 2.5\n", f"{line}\n".encode())
    (row,) = parser.feed(f"{line}\n".encode()).items
    assert isinstance(row, Row)
    assert (row.x, row.values, parser.info.total) == (300, expected, None)


@pytest.mark.parametrize(
    "text",
    [
        "".join(f"Epoch {e}/3\n157/157 - 3s - 21ms/step - loss: {e}.5\n" for e in (1, 2, 3)),
        "".join(f"Train: 0 [{at:4}/1251 (  2%)]  Loss: 6.9 (6.9)\n" for at in (0, 50)),
        "".join(f"writer.py:48] [{at}] train_loss=2.5\n" for at in (100, 200)),
        "".join(f"[1, {at}] loss: 2.5\n" for at in (2000, 4000)),
    ],
)
def test_consoles_are_found_in_a_folder(text: str, tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text(text)
    (source,) = sources_of(tmp_path)
    metrics = take_inventory(BY_NAME[source.format].open(source), NameMapping()).metrics
    assert {metric.key for metric in metrics.values()} == {"loss"}


@pytest.mark.parametrize(
    "written",
    ["2026-06-01T10:00:00Z", "2026-06-01 12:00:00,000+02:00", "2026-06-01T05:00:00.0-0500", "2026/06/01 10:00:00 UTC"],
)
def test_a_time_has_its_zone(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    (row,) = read("console", f"{written} step 1 loss 2.5\n".encode())[0]
    assert row.time == 1780308000


def test_fractions_of_epochs_are_numbered() -> None:
    text = b"epoch=0.25 loss=3\nepoch=0.5 loss=2\nepoch=1.0 loss=1\n"
    rows = [item for item in read("console", text)[0] if isinstance(item, Row)]
    assert [(row.x, row.step) for row in rows] == [(0.25, 1), (0.5, 2), (1.0, 3)]
    assert console_of("console", text).info.axis == "epoch"


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=200))
def test_no_line_is_too_strange(text: str) -> None:
    data = f"step 1 {text} loss=2\nstep 2 loss=3\n".encode("utf-8", "surrogatepass")
    assert [item for item in read("console", data)[0] if isinstance(item, Row)][-1].values["loss"] == 3


@pytest.mark.parametrize("line", ["step 1 " + "a" * 7000, "step 1 " + "a " * 3500, "1/2 " + "[" * 7000, "step " * 1500])
def test_a_long_line_does_not_hide_the_next_one(line: str) -> None:
    """A pattern that tries all ways through such a line would not end within the time limit of a test."""
    items, _ = read("console", f"{line}\n".encode() * 20 + b"step 7 loss=3\n")
    assert [item.x for item in items if isinstance(item, Row)][-1] == 7


def test_a_stream_is_shown_at_once_and_read_again_when_its_format_shows() -> None:
    make = BY_NAME["console"].parser
    assert make is not None
    parser = make("-")
    first = parser.feed(b"epoch 0 step 10 loss 8.0\n")
    assert [item.x for item in first.items if isinstance(item, Row)] == [10] and not first.reset
    second = parser.feed(b"[Rank 0] step=20, skipped=0, lr=[0.01], mom=[(0.9, 0.999)]\n")
    assert second.reset
    assert [item.x for item in second.items if isinstance(item, Row)] == [10, 20]
    assert parser.info.meanings["lr"] == "lr"


def test_a_format_that_shows_after_much_other_text_is_found() -> None:
    text = b"just a line of a banner that says nothing\n" * 10_000
    read_values = values("console", text, text, b"iter 0: loss 4.2, time 120.55ms, mfu 40.00%\n")
    assert read_values["mfu_percent"] == {0: 40.0}


def test_a_log_opened_by_name_is_read_however_late_its_metrics_come(tmp_path: Path) -> None:
    log = tmp_path / "run.txt"
    log.write_bytes(b"just a line of a banner that says nothing\n" * 100_000 + b"step 1 loss=2.0\nstep 2 loss=1.0\n")
    (source,) = sources_of(log)
    assert take_inventory(BY_NAME[source.format].open(source), NameMapping()).metrics["loss"].points == 2
    assert sources_of(tmp_path) == []


@pytest.mark.parametrize("zeros", [3_000, 2_000_000])
def test_a_log_that_was_cut_under_its_writer_is_read_after_the_zero_bytes(tmp_path: Path, zeros: int) -> None:
    log = tmp_path / "train.log"
    log.write_bytes(bytes(zeros) + b"step 1 loss=2.0\nstep 2 loss=1.0\n")
    (source,) = sources_of(log)
    assert take_inventory(BY_NAME[source.format].open(source), NameMapping()).metrics["loss"].points == 2


def test_a_log_opened_by_name_that_has_no_metrics_yet_is_followed(tmp_path: Path) -> None:
    log, prose = tmp_path / "train.log", tmp_path / "README.md"
    log.write_text("Loading the model\n")
    prose.write_text("# Read me\n\nTrain it.\n")
    (source,) = sources_of(log)
    reader = BY_NAME[source.format].open(source)
    assert reader.poll().items == []
    with log.open("a") as file:
        file.write("iter 0: loss 4.2, time 120.55ms, mfu 40.00%\n")
    assert [item.values for item in reader.poll().items if isinstance(item, Row)] == [
        {"loss": 4.2, "time_ms": 120.55, "mfu_percent": 40.0}
    ]
    assert sources_of(prose) == []


TRAINER = """
from types import SimpleNamespace
from transformers.trainer_callback import ProgressCallback, TrainerControl, TrainerState
state, control, progress = TrainerState(max_steps=12), TrainerControl(), ProgressCallback()
progress.on_train_begin(None, state, control)
for step in range(1, 13):
    state.global_step, state.epoch = step, step / 6
    progress.on_step_end(None, state, control)
    if step % 3 == 0:
        progress.on_log(None, state, control, logs={"loss": 4 / step, "learning_rate": 1e-4, "epoch": step / 6})
    if step % 6 == 0:
        for batch in range(2):
            progress.on_prediction_step(None, state, control, eval_dataloader=[0, 1])
        progress.on_log(None, state, control, logs={"eval_loss": 5 / step, "epoch": step / 6})
        progress.on_evaluate(None, state, control)
progress.on_log(None, state, control, logs={"train_runtime": 1.0, "train_loss": 2.0, "epoch": 2.0})
progress.on_train_end(None, state, control)
"""


def test_what_the_trainer_prints_is_read() -> None:
    pytest.importorskip("transformers")
    ran = subprocess.run([sys.executable, "-c", TRAINER], check=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    items, info = read("console", *(ran.stdout[at : at + 7] for at in range(0, len(ran.stdout), 7)))
    rows = [item for item in items if isinstance(item, Row)]
    assert [(row.x, row.values["loss"]) for row in rows if "loss" in row.values] == [
        (0.5, 1.333), (1.0, 0.6667), (1.5, 0.4444), (2.0, 0.3333),
    ]  # fmt: skip
    assert [(row.x, row.values["eval_loss"]) for row in rows if "eval_loss" in row.values] == [(1, 0.8333), (2, 0.4167)]
    assert (info.axis, info.ending) == ("epoch", "completed")


def test_the_bar_of_the_real_tqdm_is_read(tmp_path: Path) -> None:
    pytest.importorskip("tqdm")
    code = (
        "from tqdm import tqdm\nbar = tqdm(range(5), mininterval=0)\n"
        "for n in bar: bar.set_postfix(loss=1 / (n + 1), lr=1e-4)\n"
        "for epoch in range(2):\n    for n in tqdm(range(3), desc=f'Epoch {epoch}', mininterval=0): pass\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], check=True, stderr=subprocess.PIPE)
    read_values = values("console", ran.stderr)
    assert set(read_values) == {"loss", "lr"}
    assert read_values["loss"][4] == pytest.approx(0.2) and max(read_values["loss"]) == 5
