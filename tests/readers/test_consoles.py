"""What training tools print, in other shapes than the corpus has."""

from __future__ import annotations

import math
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.readers.consoles import console_of, read, values
from tuitrain.events import Step
from tuitrain.readers.blocks import one_by_one
from tuitrain.readers.discover import recognised, sources_of
from tuitrain.readers.formats import BY_NAME
from tuitrain.readers.inventory import take_inventory
from tuitrain.readers.mapping import NameMapping
from tuitrain.readers.model import Probe, Row
from tuitrain.readers.records import RecordReader
from tuitrain.readers.text import LONGEST_LINE

CORPUS = Path(__file__).parents[1] / "data/corpus"
LOGS = sorted(
    log
    for case in CORPUS.iterdir()
    if case.name.startswith("hf-v") or "console" in case.name or "fairseq" in case.name
    for log in case.glob("data/**/*.log")
)
NANOGPT = b"iter 0: loss 4.2, time 120.55ms, mfu -100.00%\niter 1: loss 4.1, time 100.00ms, mfu 40.00%\n"
TITAN = (
    "[titan] 2026-11-28 19:51:48,037 - root - INFO - step: {}  loss:  {}  memory: 41.58GiB(52.30%)  tps: 7,944"
    "  mfu: {}\n"
)
MEGATRON = (
    " [2026-06-01 12:00:03] iteration {:8d}/     500 | consumed samples: 2560 |"
    " elapsed time per iteration (ms): 414.0 | learning rate: 6.0E-05 | {} loss scale: 1.0 |"
    " number of nan iterations:   {} |\n"
)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: "/".join(log.relative_to(CORPUS).parts[:1]))
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"], ids=["lf", "crlf"])
def test_a_log_in_pieces_of_any_size_is_read_as_at_once(log: Path, ends: bytes) -> None:
    data = log.read_bytes().replace(b"\n", ends)
    form = recognised(Probe(data))
    assert form is not None and form.name != "console"
    whole = repr(read(form.name, data))
    chance = random.Random(1)
    cuts = sorted(chance.randrange(len(data)) for _ in range(200))
    pieces = [data[a:b] for a, b in zip([0, *cuts], [*cuts, len(data)], strict=True)]
    assert repr(read(form.name, *pieces)) == whole
    assert repr(read("console", *pieces)) == whole


@settings(max_examples=15, deadline=None)
@given(st.data())
def test_a_log_cut_anywhere_gives_the_values_of_its_whole_lines(data: st.DataObject) -> None:
    log = data.draw(st.sampled_from(LOGS)).read_bytes()[:6000]
    form = recognised(Probe(log))
    assert form is not None
    end = data.draw(st.integers(0, len(log)))
    whole_lines = max(log.rfind(b"\n", 0, end), log.rfind(b"\r", 0, max(end - 1, 0))) + 1
    by_byte = [log[at : at + 1] for at in range(end)]
    assert repr(read(form.name, *by_byte)) == repr(read(form.name, log[:end]))
    assert repr(values(form.name, *by_byte)) == repr(values(form.name, log[:whole_lines]))


def test_rank_prefixes_colours_and_missing_fields_do_no_harm() -> None:
    text = (
        b"7: iter 0: loss 4.2, time 120.55ms, mfu -100.00%\n[rank0]: iter 1: loss 4.1, time 100.00ms\n"
        b"\x1b[32miter 2: loss nan, time 90.00ms, mfu 40.00%, lr 3e-4\x1b[0m\nmyiter 3: loss 1.0, time 1.00ms\n"
    )
    read_values = values("nanogpt-console", text)
    assert read_values["loss"][0] == 4.2 and read_values["loss"][1] == 4.1 and math.isnan(read_values["loss"][2])
    assert read_values["time_ms"] == {0: 120.55, 1: 100.0, 2: 90.0}
    assert read_values["mfu_percent"] == {0: -100.0, 2: 40.0}
    assert read_values["lr"] == {2: 3e-4}


def test_nanogpt_without_max_iters_says_nothing_about_its_end() -> None:
    assert console_of("nanogpt-console", NANOGPT).info.ending is None
    parser = console_of("nanogpt-console", b"Overriding: max_iters = 5\n", NANOGPT)
    assert (parser.info.ending, parser.info.total) == ("interrupted", 5)


def test_nanogpt_takes_parameters_from_a_config_file_that_it_prints() -> None:
    text = (
        b"Overriding config with config/a.py:\n# comment\nbatch_size = 12\nblock_size = 8 * 4\n"
        b"wandb_log = False # off\n\nOverriding: max_iters = 1\n"
    )
    parser = console_of("nanogpt-console", text, NANOGPT)
    assert parser.info.hyperparameters == {
        "batch_size": 12, "block_size": "8 * 4", "wandb_log": False, "max_iters": 1,
    }  # fmt: skip
    assert parser.info.ending == "completed"


def test_an_mfu_below_zero_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_bytes(NANOGPT)
    (source,) = sources_of(tmp_path)
    records = RecordReader(BY_NAME[source.format].open(source), "a", NameMapping()).poll().records
    assert [(each.step, each.mfu) for each in records if isinstance(each, Step)] == [(0, None), (1, 0.4)]


def test_torchtitan_leaves_out_what_is_not_available_and_reads_the_time() -> None:
    text = TITAN.format(1, "8.0", "N/A") + TITAN.format(10, "nan", "38.55%")
    rows = [item for item in read("torchtitan-console", text.encode())[0] if isinstance(item, Row)]
    assert rows[0].values == {"loss": 8.0, "memory_gib": 41.58, "tps": 7944.0}
    assert math.isnan(rows[1].values["loss"]) and rows[1].values["mfu_percent"] == 38.55
    assert rows[0].time is not None and rows[0].time % 60 == pytest.approx(48.037)
    assert console_of("torchtitan-console", text.encode()).info.ending == "interrupted"


def test_torchtitan_knows_the_planned_steps() -> None:
    text = (
        "INFO - Trainer is initialized with local batch size 8, global batch size 64, gradient accumulation steps 1, "
        "sequence length 2048, total steps 10 (warmup 2)\n"
    )
    parser = console_of("torchtitan-console", (text + TITAN.format(10, "8.0", "1%")).encode())
    assert parser.info.total == 10
    assert parser.info.hyperparameters["global_batch_size"] == 64
    assert parser.info.hyperparameters["sequence_length"] == 2048


def test_megatron_with_further_losses_without_the_nan_one_and_behind_a_rank_prefix() -> None:
    text = (
        MEGATRON.format(10, "lm loss: 7.5E+00 | load_balancing_loss: 1.2E+00 |", 0) + "7: " + MEGATRON.format(20, "", 1)
    )
    read_values = values("megatron-console", text.encode())
    assert read_values["lm loss"] == {10: 7.5}
    assert read_values["load_balancing_loss"] == {10: 1.2}
    assert read_values["number of nan iterations"] == {10: 0, 20: 1}


def test_megatron_stopped_by_its_own_request_and_evaluated_at_the_end() -> None:
    text = MEGATRON.format(10, "lm loss: 7.5E+00 |", 0)
    parser = console_of("megatron-console", text.encode(), b"exiting program at iteration 10\n")
    assert (parser.info.ending, parser.info.reason) == ("stopped", "exiting program at iteration 10")
    ends = " validation loss at iteration 500 on test set | lm loss value: 2.5E+00 | lm loss PPL: 1.2E+01 | \n"
    assert values("megatron-console", (text + ends).encode())["lm loss test"] == {500: 2.5}


def test_megatrons_descendant_neox() -> None:
    lines = (
        " samples/sec: 34.221 | iteration       10/    1000 | elapsed time per iteration (ms): 3740.1 | learning rate: "
        "5.950E-04 | approx flops per GPU: 121.2TFLOPS | lm_loss: 2.5E+00 | loss scale: 32768.0 |\n"
        " validation results at iteration 10 | lm_loss value: 2.25E+00 | lm_loss_ppl value: 9.5E+00 | \n"
    )
    read_values = values("megatron-console", lines.encode())
    assert read_values["approx flops per GPU"] == {10: 121.2}
    assert (read_values["lm_loss"], read_values["samples/sec"]) == ({10: 2.5}, {10: 34.221})
    assert (read_values["lm_loss validation"], read_values["lm_loss validation ppl"]) == ({10: 2.25}, {10: 9.5})


def test_llama2c_is_read_as_nanogpt_is() -> None:
    text = b"0 | loss 10.5 | lr 5.000000e-04 | 512.31ms | mfu -100.00%\nstep 1: train loss 2.1, val loss 2.2\n"
    assert recognised(Probe(text)) is BY_NAME["nanogpt-console"]
    read_values = values("nanogpt-console", text)
    assert (read_values["loss"], read_values["lr"], read_values["val loss"]) == ({0: 10.5}, {0: 5e-4}, {1: 2.2})


def test_composer_prints_blocks_of_values() -> None:
    text = (
        b"[epoch=1/1]\n[batch=10/20]:\n\t Train time/token: 5242880\n\t Train loss/train/total: 2.5\n"
        b"\t Train lr-DecoupledAdamW/group0: 0.0003\n[Eval batch=1/5] Eval on eval data\n"
        b"[batch=20/20]:\n\t Train loss/train/total: nan\n\t Eval metrics/eval/LanguageCrossEntropy: 2.25\n"
    )
    assert recognised(Probe(text)) is BY_NAME["composer-console"]
    parser = console_of("composer-console", text)
    read_values = values("composer-console", text)
    assert str(read_values.pop("loss/train/total")) == "{10.0: 2.5, 20.0: nan}"
    assert read_values["metrics/eval/LanguageCrossEntropy"] == {20: 2.25}
    assert (parser.info.total, parser.info.ending) == (20, "completed")
    mapping = NameMapping()
    mapping.learn(parser.info.meanings)
    keys = [target.key for name in read_values if (target := mapping.target(name)) is not None]
    assert keys == ["tokens", "lr", "val_loss"]


def test_an_mfu_far_above_one_is_in_per_cent(tmp_path: Path) -> None:
    for name, rows in (("few", 3), ("many", 200)):
        (tmp_path / f"{name}.csv").write_text("step,loss,mfu\n" + "".join(f"{at},2.5,41.25\n" for at in range(rows)))
    for source in sources_of(tmp_path):
        records = RecordReader(BY_NAME[source.format].open(source), "a", NameMapping()).poll().records
        assert {each.mfu for each in one_by_one(records) if isinstance(each, Step)} == {0.4125}


def test_olmo_counts_a_block_without_a_step_to_the_last_one() -> None:
    text = (
        b"x INFO\t[step=1,000/2,000,epoch=0]\nx INFO\t[step=5/10,epoch=0]\n    train/CE loss=nan\n    train/PPL=1,771\n"
        b"x INFO\tall-validation\n    eval/c4-validation/CE loss=3.2\n"
    )
    read_values = values("olmo-console", text)
    assert math.isnan(read_values["train/CE loss"][5]) and read_values["train/PPL"] == {5: 1771}
    assert read_values["eval/c4-validation/CE loss"] == {5: 3.2}
    assert console_of("olmo-console", text).info.meanings["eval/c4-validation/CE loss"] == "eval/c4-validation/loss"


def test_deepspeed_with_several_parameter_groups_and_a_pipeline() -> None:
    text = (
        b"[2026-11-28 20:20:42,998] [INFO] [logging.py:123:log_dist] [Rank 0] step=10, skipped=1, lr=[0.01, 0.02], "
        b"mom=[[0.9, 0.999]]\n"
        b"steps: 10 loss: 5.0780 iter time (s): 0.373 samples/sec: 171.590\n"
        b"step 20 | my loss: 1.5\n"
    )
    read_values = values("deepspeed-console", text)
    assert (read_values["lr"], read_values["lr/1"]) == ({10: 0.01}, {10: 0.02})
    assert read_values["iter time (s)"] == {10: 0.373}
    assert read_values["my loss"] == {20: 1.5}


def test_fairseq_says_when_it_is_done() -> None:
    line = '2026-06-01 18:11:24 | INFO | train_inner | {"epoch": 1, "update": 0.1, "loss": "nan", "num_updates": "5"}\n'
    assert console_of("fairseq-json", line.encode()).info.ending is None
    end = b"2026-06-01 18:12:22 | INFO | fairseq_cli.train | done training in 40.2 seconds\n"
    assert console_of("fairseq-json", line.encode(), end).info.ending == "completed"


def test_litgpt_in_two_versions() -> None:
    new = (
        b"Epoch 1 | iter 4 step 2 | loss train: 4.361, val: n/a | iter time: 19.96 ms (step) remaining time: 0:00:05\n"
        b"iter 4: val loss 4.2, val time: 123.45 ms\n"
        b"Epoch 1 | iter 5 step 2 | loss train: 4.3, val: 4.2 | iter time: 9.0 ms\n"
        b"Training time: 12.34s\n"
    )
    read_values = values("litgpt-console", new)
    assert read_values["loss train"] == {4: 4.361, 5: 4.3}
    assert read_values["val loss"] == {4: 4.2}
    assert console_of("litgpt-console", new).info.ending == "completed"
    old = b"iter 3 step 1: loss 10.9, iter time: 400.00ms (optimizer.step)\n"
    assert values("litgpt-console", old)["iter time_ms"] == {3: 400.0}


def test_mlx_table_with_other_columns_and_large_counts() -> None:
    text = (
        "  iter   train_loss    lr   tok/s     tokens\n  1,005    3.588 ▼    1e-4   1,183    1.2M\n"
        "  1,005    val 3.6    4.48s\n  not    a row\n"
    )
    assert values("mlx-lm-console", text.encode()) == {
        "train_loss": {1005: 3.588}, "lr": {1005: 1e-4}, "tok/s": {1005: 1183}, "tokens": {1005: 1.2e6},
        "val": {1005: 3.6},
    }  # fmt: skip


def test_mlx_without_the_adapters_configuration(tmp_path: Path) -> None:
    log = tmp_path / "train.log"
    log.write_text("Starting training..., iters: 10\nIter 5: Train loss 3.5, Peak mem 0.003 GB\n")
    (source,) = sources_of(log)
    info = take_inventory(BY_NAME[source.format].open(source), NameMapping()).info
    assert (info.total, info.ending, info.hyperparameters) == (10, "interrupted", {})


def steps(form: str, *pieces: str) -> list[tuple[float, int | None]]:
    items, _ = read(form, *(piece.encode() for piece in pieces))
    return [(item.x, item.step) for item in items if isinstance(item, Row)]


def bar(done: int) -> str:
    return f"\r {done}%|█         | {done}/100 [00:01<00:10, 9.79it/s]"


def test_the_trainers_steps_are_what_its_bar_shows_below_a_row() -> None:
    text = (
        f"{bar(0)}{bar(8)}\r      \r{{'loss': 3.9, 'epoch': 0.01}}\n"
        f"{bar(10)}{bar(11)}\r   \r{{'loss': 3.8, 'epoch': 0.01}}\n"
        f"{bar(12)}\n\r  0%|          | 0/2 [00:00<?, ?it/s]\x1b[A\r    \r\n\x1b[A{{'eval_loss': 3.7, 'epoch': 0.01}}\n"
        f"\n{bar(12)}\n\r100%|██████████| 2/2 [00:00<00:00, 211.91it/s]\x1b[A{bar(19)}"
    )
    rows = [item for item in read("hf-console", text.encode())[0] if isinstance(item, Row)]
    assert [(row.x, row.step, *row.values) for row in rows] == [(0.01, 10, "loss"), (0.01, 12, "loss", "eval_loss")]


def test_a_bar_that_comes_later_than_the_row_above_it_corrects_its_step() -> None:
    parser = console_of("hf-console", bar(8).encode(), b"\r   \r{'loss': 4.0, 'epoch': 0.01}\n", bar(9).encode())
    (first,) = parser.feed(b"\r   \r{'loss': 3.9, 'epoch': 0.02}\n").items
    assert isinstance(first, Row) and first.step == 10
    late = parser.feed(bar(12).encode())
    assert late.reset and [(item.x, item.step) for item in late.items if isinstance(item, Row)] == [
        (0.01, 9),
        (0.02, 12),
    ]
    assert not parser.feed(bar(13).encode()).items


def test_rows_of_the_trainer_that_came_late_never_repeat_a_step() -> None:
    """Those that Python has kept in its buffer come together, and no bar is drawn below each."""
    text = (
        f"{bar(0)}{bar(10)}\r      \r{{'loss': 3.9, 'grad_norm': 0.7, 'epoch': 0.01}}\n{{'loss': 3.8, 'epoch': 0.01}}\n"
        f"{{'eval_loss': 3.7, 'epoch': 0.01}}\n{{'loss': 3.6, 'gr{bar(40)}\r{{'loss': 3.6, 'epoch': 0.02}}\nTraceback\n"
    )
    assert steps("hf-console", text) == [(0.01, 10), (0.01, 11), (0.02, 40)]


SIZES = """  Num examples = {}
  Num Epochs = 2
  Instantaneous batch size per device = 2
  Total train batch size (w. parallel, distributed & accumulation) = 8
  Gradient Accumulation steps = 4
  Total optimization steps = {}
"""


@pytest.mark.parametrize(
    ("examples", "total", "epochs", "expected"),
    [
        # 10 steps an epoch; an epoch of two digits says the step, as there are no more than 100.
        (80, 20, ("0.1", "0.5", "1.0", "1.2", "2.0"), [1, 5, 10, 12, 20]),
        # 41 micro-batches an epoch: the eleventh step of each has one.
        (82, 22, ("0.0975609756097561", "0.975609756097561", "1.0", "1.0975609756097561"), [1, 10, 11, 12]),
        # Transformers 5 writes four digits, in quotes.
        (8000, 2000, ("'0.001'", "'0.123'", "'1.999'"), [1, 123, 1999]),
        # Two digits do not tell one step of a thousand from the next, and 15 steps are not two epochs.
        (8000, 2000, ("0.0", "0.01", "0.01"), [0, 1, 2]),
        (80, 15, ("0.1", "0.5"), [0, 1]),
    ],
)
def test_the_trainers_epochs_say_the_steps_where_it_prints_the_size_of_an_epoch(
    examples: int, total: int, epochs: tuple[str, ...], expected: list[int]
) -> None:
    rows = "".join(f"{{'loss': 3.9, 'epoch': {epoch}}}\n" for epoch in epochs)
    assert [step for _, step in steps("hf-console", SIZES.format(examples, total), rows)] == expected


def test_the_trainers_bar_says_how_many_steps_are_planned() -> None:
    text = b"\r 10%|#         | 10/100 [00:01<00:10, 9.79it/s]\r{'loss': 3.9, 'epoch': 0.01}\n"
    assert console_of("hf-console", text).info.total_steps == 100


def test_the_trainers_points_without_a_bar_are_numbered_and_a_restart_goes_back() -> None:
    lines = [f"{{'loss': {1 / n}, 'epoch': {n / 100}}}\n" for n in (1, 2, 3, 2, 3, 4)]
    rows = [item for item in read("hf-console", "".join(lines).encode())[0] if isinstance(item, Row)]
    assert [row.step for row in rows] == [0, 1, 2, 1, 2, 3]


def test_a_resumed_trainer_is_not_finished_any_more() -> None:
    end = b"{'train_runtime': 1.4, 'train_loss': 2.0, 'epoch': 1.0}\n"
    text = b"{'loss': 2.0, 'epoch': 1.0}\n" + end
    further = b"{'loss': 2.0, 'epoch': 1.1}\n"
    assert console_of("hf-console", text).info.ending == "completed"
    assert console_of("hf-console", text, further).info.ending == "interrupted"
    assert (
        console_of("hf-console", text, further, end + b"{'eval_loss': 2.0, 'epoch': 2.0}\n").info.ending == "completed"
    )


def test_a_line_of_hundreds_of_megabytes_is_counted_and_skipped() -> None:
    parser = BY_NAME["nanogpt-console"].parser
    assert parser is not None
    made = parser("a")
    rows, broken = [], []
    piece = b"x" * (1 << 20)
    for data in (NANOGPT[:46], *[piece] * (LONGEST_LINE // len(piece) + 40), b"\n", NANOGPT[46:]):
        reading = made.feed(data)
        rows += [item.x for item in reading.items if isinstance(item, Row)]
        broken += [each.number for each in reading.broken]
    assert (rows, broken) == ([0, 1], [2])


PROSE = b"""# How to train

At step 10 the loss is 2.3; in epoch 3 it falls. Iterations are cheap.
Step 1: install it. Step 2: run `python train.py --lr 3e-4 --steps 100`.
"""
CODE = b"""for step in range(10):
    loss = 2.0
    print(f"iter {iter_num}: loss {lossf:.4f}, time {dt*1000:.2f}ms, mfu {running_mfu*100:.2f}%")
    logger.info(f"step: {step} loss: {loss}")
"""


@pytest.mark.parametrize(
    "data",
    [
        PROSE, CODE, b"", b"\n", b"step,loss\n1,2.0\n2,1.5\n", b'{"step": 1, "loss": 2.0}\n{"step": 2, "loss": 1.0}\n',
        b'{"type":"step","time":1.0,"step":1,"loss":2.0}\n{"type":"step","time":2.0,"step":2,"loss":2.0}\n',
        b'{\n  "steps": 10,\n  "loss": 2.0\n}\n', b"numpy==1.26.4\ntorch==2.5.0\n",
        b"<html>step 1: a=2\nstep 2: a=3</html>",
    ],
)  # fmt: skip
def test_no_console_claims_what_is_none(data: bytes) -> None:
    assert recognised(Probe(data)) is None or not recognised(Probe(data)).name.endswith("console")  # type: ignore[union-attr]


def test_nanochat_with_evaluations_only() -> None:
    data = b"Step 00000 | Validation bpb: 3.200000\nStep 00010 | Validation bpb: 3.0\n"
    parser = console_of("nanochat-console", data)
    assert recognised(Probe(data)) is BY_NAME["nanochat-console"] and parser.info.ending is None
