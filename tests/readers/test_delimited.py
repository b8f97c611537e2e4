"""CSV and TSV of any origin: what people's scripts, spreadsheets and other tools write."""

from __future__ import annotations

import math
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.readers.reading import fed, format_of, inventory_of, points, reader_of
from tuitrain.readers.delimited import DelimitedParser
from tuitrain.readers.discover import sources_of
from tuitrain.readers.model import Item


def read(text: str) -> list[tuple[float, dict[str, float]]]:
    return points(fed(lambda: DelimitedParser("a.csv"), text.encode())[0])


@pytest.mark.parametrize(
    "text, axis, rows",
    [
        ("step,loss\n0,2\n1,1\n", "step", [(0, {"loss": 2}), (1, {"loss": 1})]),
        ("loss,global_step\n2,5\n", "global_step", [(5, {"loss": 2})]),
        ("Iteration;Loss\n1;2,5\n2;1,25\n", "Iteration", [(1, {"Loss": 2.5}), (2, {"Loss": 1.25})]),
        ("epoch,step,loss\n1,10,2\n", "step", [(10, {"epoch": 1, "loss": 2})]),
        ("loss,lr\n2,0.1\n1,0.1\n", "row", [(0, {"loss": 2, "lr": 0.1}), (1, {"loss": 1, "lr": 0.1})]),
        (",step,loss\n0,10,2\n", "step", [(10, {"loss": 2})]),
        ("step,loss,val\n0,2,\n1,,3\n", "step", [(0, {"loss": 2}), (1, {"val": 3})]),
        ("step,loss\r\n0,nan\r\n1,-inf\r\n", "step", [(0, {"loss": math.nan}), (1, {"loss": -math.inf})]),
        ('"step","loss, total"\n"1","2.5"\n', "step", [(1, {"loss, total": 2.5})]),
        ('step,note,loss\n1,"two, or\nmore lines",2\n2,none,1\n', "step", [(1, {"loss": 2}), (2, {"loss": 1})]),
        ('step,loss\n1,"1,234.5"\n', "step", [(1, {"loss": 1234.5})]),
        ("# step,loss\n1,2\n", "step", [(1, {"loss": 2})]),
        ("# made by hand\nstep,loss\n\n1,2\n\n", "step", [(1, {"loss": 2})]),
        ("# 2026-01-02\n# made by hand\n\nstep,loss\n1,2\n", "step", [(1, {"loss": 2})]),
        ("sep=;\nstep;loss\n1;2\n", "step", [(1, {"loss": 2})]),
        ("step,loss\n1,2\nstep,loss\n1,3\n", "step", [(1, {"loss": 2}), (1, {"loss": 3})]),
        ("step,loss\n1,2\nstep,loss,lr\n2,3,4\n", "step", [(1, {"loss": 2}), (2, {"loss": 3, "lr": 4})]),
        ("step,loss,lr\n1,2\n2,3,4,5\n", "step", [(1, {"loss": 2}), (2, {"loss": 3, "lr": 4})]),
        ("     epoch,    train/loss \n      1,      0.5\n", "epoch", [(1, {"train/loss": 0.5})]),
        ("step|loss\n1|2\n", "step", [(1, {"loss": 2})]),
        (
            "step;loss;tokens\n1;1.234,5;1.000.000\n2;2.125;9\n",
            "step",
            [(1, {"loss": 1234.5, "tokens": 1e6}), (2, {"loss": 2.125, "tokens": 9})],
        ),
        ("step,accuracy\n1,12.5%\n", "step", [(1, {"accuracy": 0.125})]),
        ("step;accuracy\n1;12,5 %\n", "step", [(1, {"accuracy": 0.125})]),
        ("loss\n2\n1\n", "row", [(0, {"loss": 2}), (1, {"loss": 1})]),
    ],
)
def test_shapes_of_tables(text: str, axis: str, rows: list[tuple[float, dict[str, float]]], tmp_path: Path) -> None:
    (tmp_path / "data").write_text(text, newline="")
    assert repr(points(reader_of(tmp_path / "data").poll().items)) == repr([
        (float(x), {name: float(value) for name, value in values.items()}) for x, values in rows
    ])  # fmt: skip
    assert inventory_of(tmp_path / "data").info.axis == axis


def test_lines_before_the_header_may_come_alone() -> None:
    parser = DelimitedParser("a.csv")
    assert parser.feed(b"# made by hand\n").items == parser.feed(b"step,loss\n").items == []
    assert points(parser.feed(b"1,2\n").items) == [(1, {"loss": 2})]


def test_lines_without_a_step_are_counted_and_skipped() -> None:
    items, broken, _ = fed(lambda: DelimitedParser("a"), b"step,loss\n1,2\nKilled, by a signal\n2,1\n")
    assert points(items) == [(1, {"loss": 2}), (2, {"loss": 1})]
    assert [(line.number, line.reason) for line in broken] == [(3, "step is not a number: 'Killed'")]


def test_an_unfinished_line_is_no_value_yet() -> None:
    parser = DelimitedParser("a")
    assert points(parser.feed(b"step,loss\n1,2\n2,3.").items) == [(1, {"loss": 2})]
    assert points(parser.feed(b"5").items) == []
    assert points(parser.feed(b"\n").items) == [(2, {"loss": 3.5})]


@pytest.mark.parametrize("column", ["2026-06-01T10:00:00Z", "1780308000", "1780308000000", "2026-06-01 10:00:00+00:00"])
def test_times_are_those_of_the_rows(column: str) -> None:
    items, _, _ = fed(lambda: DelimitedParser("a"), f"time,step,loss\n{column},1,2\n".encode())
    assert [(item.x, item.time, item.values) for item in items] == [(1, 1780308000, {"loss": 2})]  # type: ignore[union-attr]


def test_seconds_since_the_start_are_a_metric() -> None:
    assert read("step,time,loss\n1,12.5,2\n") == [(1, {"time": 12.5, "loss": 2})]


def test_fractions_of_epochs_are_drawn_by_row_and_keep_their_step() -> None:
    items, _, _ = fed(lambda: DelimitedParser("a"), b"epoch,loss\n0,3\n0.5,2\n0.5,2.5\n1,1\n")
    assert [(item.x, item.step) for item in items] == [(0, 0), (0.5, 1), (0.5, 1), (1, 2)]  # type: ignore[union-attr]


def test_a_file_that_is_written_anew_with_another_column_is_read_anew(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("step,loss\n1,2\n2,1\n")
    reader = reader_of(log)
    assert points(reader.poll().items) == [(1, {"loss": 2}), (2, {"loss": 1})]
    log.write_text("step,loss,val\n1,2,\n2,1,\n3,,5\n")
    reading = reader.poll()
    assert reading.reset
    assert points(reading.items) == [(1, {"loss": 2}), (2, {"loss": 1}), (3, {"val": 5})]


def test_a_last_line_without_an_end_counts_where_only_a_text_can_follow() -> None:
    parser = DelimitedParser("a")
    assert points(parser.feed(b"step,loss,note\n1,2,a\n2,1,").items) == [(1, {"loss": 2}), (2, {"loss": 1})]
    assert points(parser.feed(b"b\n3,0").items) == []
    assert points(parser.feed(b",\n").items) == [(3, {"loss": 0})]


def joined(items: list[Item]) -> list[tuple[float, dict[str, float]]]:
    """The values of rows that follow each other at one x together."""
    return [
        (x, {name: value for _, values in rows for name, value in values.items()})
        for x, rows in groupby(points(items), key=itemgetter(0))
    ]


CELLS = st.sampled_from(
    ["", "1", "-2.5", "1e-3", "nan", "inf", "text", '"1,5"', '"a\nb"', '"', "1_0", " 7 ", "1,2", "step", "#1"]
)
LINES = st.lists(st.lists(CELLS, min_size=1, max_size=4).map(",".join), max_size=30)


@given(
    LINES,
    st.sampled_from(["step,loss,lr", "loss,lr,acc", "time,epoch,loss", '"step";loss', "loss"]),
    st.booleans(),
    st.data(),
)
def test_the_pieces_do_not_matter(lines: list[str], header: str, carriage: bool, data: st.DataObject) -> None:
    content = ("\r\n" if carriage else "\n").join([header, *lines, ""]).encode()
    cuts = data.draw(st.lists(st.integers(0, len(content)), max_size=5))
    at_once = fed(lambda: DelimitedParser("a"), content)
    for places in (cuts, range(len(content))):
        pieces = fed(lambda: DelimitedParser("a"), content, places)
        assert repr(joined(pieces[0])) == repr(joined(at_once[0]))
        assert pieces[1] == at_once[1]
        assert pieces[2].info == at_once[2].info


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b'step,loss,note\n1,2,a\n2,5,"\n', id="a text that is not closed"),
        pytest.param(b"step,loss,note\n1,2,a\nnan,5,b\n", id="a position that is no number"),
        pytest.param(b"time,step,loss\n1,2,3\n#4,5,6\n", id="a comment"),
    ],
)
def test_a_last_row_that_is_read_early_is_read_once(content: bytes) -> None:
    at_once = fed(lambda: DelimitedParser("a"), content)
    for cut in range(len(content)):
        pieces = fed(lambda: DelimitedParser("a"), content, [cut])
        assert (joined(pieces[0]), pieces[1]) == (joined(at_once[0]), at_once[1]), cut


@pytest.mark.parametrize(
    "text, rows",
    [
        ("step,metric,value\n1,loss,2\n1,lr,0.5\n2,loss,1\n", [(1, {"loss": 2, "lr": 0.5}), (2, {"loss": 1})]),
        ("tag;value;step\nloss;2,5;1\nloss;1;2\nlr;3;1\n", [(1, {"loss": 2.5}), (2, {"loss": 1}), (1, {"lr": 3})]),
        ("name,step,value\nloss,1,\n,1,3\nloss,2,nan\n", [(1, {"": 3}), (2, {"loss": math.nan})]),
        (
            "step,metric,value\n1,0.5,2\n2,0.25,1\n",
            [(1, {"metric": 0.5, "value": 2}), (2, {"metric": 0.25, "value": 1})],
        ),
    ],
)
def test_a_row_for_each_value(text: str, rows: list[tuple[float, dict[str, float]]]) -> None:
    assert repr(read(text)) == repr([(float(x), {n: float(v) for n, v in values.items()}) for x, values in rows])


def test_a_table_that_is_opened_by_name_may_call_its_columns_anything(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("\ufeffVerlust;Schritt\r\n2,5;10\r\n2,25;20\r\n", newline="")
    assert not sources_of(tmp_path)
    inventory = inventory_of(tmp_path / "a.csv")
    assert (inventory.info.axis, inventory.metrics["Verlust"].last_x, inventory.metrics["Verlust"].last) == (
        ("Schritt", 20, 2.25)
    )


def test_a_download_of_tensorboard_is_called_by_its_tag(tmp_path: Path) -> None:
    (tmp_path / "run-exp1-tag-train_loss.csv").write_text(
        "Wall time,Step,Value\n1780308000.5,1,2.5\n1780308001.5,2,2\n"
    )
    assert inventory_of(tmp_path).metrics["train_loss"].key == "loss"


def test_rows_for_each_value_have_their_times() -> None:
    items, _, _ = fed(lambda: DelimitedParser("a"), b"wall_time,step,tag,value\n1780308000,1,loss,2\n")
    assert [(item.x, item.time, item.values) for item in items] == [(1, 1780308000, {"loss": 2})]  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        "name,street,city\nAda,Main Street 1,London\n",
        "id,name,price\n1,apple,0.5\n2,pear,0.7\n",
        "date,open,high,low,close\n2026-01-01,1,2,3,4\n2026-01-02,1,2,3,4\n",
        "latitude,longitude\n1.5,2.5\n1.5,2.5\n",
        "batch,product,weight\n1,7,2.5\n2,7,2.5\n",
        "text,label\nthe step was a loss,1\nno,0\n",
        "1,2,3\n4,5,6\n",
        "Dear all, this step, which was a loss, is over.\n",
        "def step(x, loss):\n    return loss, x\n",
        "step, by step; we go on\nand the loss, of it all, was felt\n",
        "",
        "\n\n\n",
        "x" * 20_000,
        "import os, step, loss\n\nimport sys, epoch\n",
    ],
)
def test_other_tables_and_texts_are_not_claimed(text: str) -> None:
    assert format_of(text) is None


@pytest.mark.parametrize(
    "text, form",
    [
        ("step\tloss\n1\t2\n", "tsv"),
        ("step,loss\n", "csv"),
        ("epoch;train_loss\n", "csv"),
        ("Wall time,Step,Value\n1780308000.5,1,2.5\n1780308001.5,2,2.5\n", "csv"),
    ],
)
def test_tables_are_recognised(text: str, form: str) -> None:
    assert format_of(text) == form
