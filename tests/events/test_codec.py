from __future__ import annotations

import json
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tuitrain.events import (
    RECORD_TYPES,
    AnyRecord,
    BrokenLineError,
    End,
    Eval,
    Gpu,
    Hardware,
    Layers,
    Run,
    Sample,
    Step,
    System,
    codec,
    decode,
    encode,
    json_schema,
)

TYPES = [str(kind.__struct_config__.tag) for kind in RECORD_TYPES]
NUMBER = st.floats(allow_nan=True, allow_infinity=True)
TIME = st.floats(0, 4e9)
WHOLE = st.integers(0, 2**63 - 1)
TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=30) | st.sampled_from(["nan", "inf", "-inf"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
OWN_METRICS = st.just(msgspec.UNSET) | st.dictionaries(TEXT | st.sampled_from([*TYPES, "type"]), NUMBER, max_size=3)
FINITE_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
STEPS = st.builds(
    Step, time=TIME, step=WHOLE, tokens=st.none() | WHOLE, loss=st.none() | NUMBER, lr=st.none() | NUMBER,
    mfu=st.none() | NUMBER, grad_norm=NUMBER, grad_mean=st.just(msgspec.UNSET) | st.none() | NUMBER,
    metrics=OWN_METRICS,
)  # fmt: skip
RECORDS = st.one_of(
    STEPS,
    st.builds(
        Eval, time=TIME, step=WHOLE, loss=st.none() | NUMBER, split=TEXT, perplexity=st.none() | NUMBER,
        sequences=st.none() | WHOLE, split_fingerprint=st.none() | TEXT, metrics=OWN_METRICS,
    ),
    st.builds(Layers, time=TIME, step=WHOLE, grad_norm=st.lists(NUMBER, max_size=5)),
    st.builds(Sample, time=TIME, step=WHOLE, text=TEXT, prompt=TEXT),
    st.builds(
        System, time=TIME, host=TEXT, cpu_percent=st.none() | NUMBER,
        gpus=st.lists(st.builds(Gpu, index=WHOLE, name=st.none() | TEXT, power_w=st.none() | NUMBER), max_size=2),
    ),
    st.builds(
        Run, time=TIME, run_id=TEXT, name=TEXT, config=st.dictionaries(TEXT, FINITE_JSON, max_size=3),
        flops_per_token=st.none() | NUMBER,
        hardware=st.none() | st.builds(Hardware, device=TEXT, peak_tflops=st.none() | NUMBER),
    ),
    st.builds(End, time=TIME, status=st.sampled_from(["completed", "stopped", "failed"]), reason=st.none() | TEXT),
)  # fmt: skip


def same(a: Any, b: Any) -> bool:
    """Equality in which nan equals nan."""
    return repr(a) == repr(b)


@given(RECORDS)
def test_a_record_survives_the_log(record: AnyRecord) -> None:
    line = encode(record)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert same(decode(line), record)


@given(RECORDS)
def test_the_log_is_strict_json(record: AnyRecord) -> None:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(encode(record), parse_constant=refuse)["type"] in {
        kind.__struct_config__.tag for kind in RECORD_TYPES
    }


def is_readable(line: bytes) -> bool:
    """Whether the line is a record, or of an unknown type, and not broken. A record has a time that is a number."""
    try:
        record = decode(line)
    except BrokenLineError as error:
        assert str(error)
        return False
    assert record is None or math.isfinite(record.time)
    return True


@given(st.binary(max_size=200))
def test_any_bytes_are_a_record_or_a_broken_line(line: bytes) -> None:
    assert not is_readable(line) or line.strip().startswith(b"{")


@given(st.sampled_from(TYPES), st.dictionaries(TEXT, JSON), JSON)
def test_any_json_is_a_record_or_a_broken_line(kind: str, keys: dict[str, Any], value: Any) -> None:
    tree = {**keys, "type": kind, "step": value, "loss": value, "time": value, "config": value, "gpus": [value]}
    is_readable(json.dumps(tree).encode())
    assert not is_readable(json.dumps([value]).encode())


@pytest.mark.parametrize("levels", [101, 900, 50_000])
@pytest.mark.parametrize(
    "prefix",
    [
        '{"type": "run", "time": 1, "run_id": "r", "name": "n", "config": ',
        '{"type": "end", "time": 1, "status": "completed", "summary": ',
    ],
)
def test_a_deeply_nested_table_makes_a_line_broken(prefix: str, levels: int) -> None:
    """Whatever can be read can be written by every writer."""

    def nested(levels: int) -> bytes:
        return (prefix + '{"a": ' * levels + "1" + "}" * levels + "}").encode()

    assert decode(nested(100)) is not None
    assert codec.decode_lines(nested(100), 1) is not None
    line = nested(levels)
    with pytest.raises(BrokenLineError):
        decode(line)
    assert codec.decode_lines(line, 1) is None


@given(STEPS, st.data())
def test_a_torn_line_is_broken_and_not_another_record(record: Step, data: st.DataObject) -> None:
    line = encode(record).rstrip(b"\n")
    with pytest.raises(BrokenLineError):
        decode(line[: data.draw(st.integers(1, len(line) - 1))])


@pytest.mark.parametrize(("word", "number"), [("nan", math.nan), ("inf", math.inf), ("-inf", -math.inf)])
def test_numbers_that_json_lacks_are_written_as_strings(word: str, number: float) -> None:
    line = encode(Step(time=1.0, step=3, loss=number))
    assert json.loads(line)["loss"] == word
    record = decode(line)
    assert isinstance(record, Step)
    assert same(record.loss, number)


@pytest.mark.parametrize(
    ("written", "number"),
    [
        (b"NaN", math.nan), (b"Infinity", math.inf), (b"-Infinity", -math.inf), (b'"NaN"', math.nan),
        (b'"-Infinity"', -math.inf), (b'"2.5"', 2.5), (b'"3"', 3.0), (b"3.0", 3.0),
    ],
)  # fmt: skip
def test_numbers_in_the_spelling_of_other_programs_are_read(written: bytes, number: float) -> None:
    record = decode(b'{"type": "step", "time": 1, "step": 4, "loss": %s}' % written)
    assert isinstance(record, Step)
    assert same(record.loss, number)


@pytest.mark.parametrize("written", [b"10.0", b'"10"', b'"10.0"', b"1e1"])
def test_an_integer_is_read_in_any_notation(written: bytes) -> None:
    record = decode(b'{"type":"step","time":1.5,"step":%s,"loss":NaN}' % written)
    assert isinstance(record, Step)
    assert (record.step, type(record.step), record.time) == (10, int, 1.5)


def test_strings_and_free_tables_are_unchanged() -> None:
    record = decode(b'{"type":"run","time":1,"run_id":"10","name":"nan","config":{"a":"3","b":1.0,"c":NaN}}')
    assert isinstance(record, Run)
    assert (record.run_id, record.name, record.config["a"], record.config["b"]) == ("10", "nan", "3", 1.0)
    assert isinstance(record.config["b"], float)
    assert math.isnan(record.config["c"])


def test_absent_null_and_nan_are_distinct() -> None:
    absent, null, nan = (decode(encode(Step(step=1, grad_mean=value))) for value in (msgspec.UNSET, None, math.nan))
    assert isinstance(absent, Step)
    assert isinstance(null, Step)
    assert isinstance(nan, Step)
    assert absent.grad_mean is msgspec.UNSET
    assert null.grad_mean is None
    assert isinstance(nan.grad_mean, float)
    assert b"grad_mean" not in encode(Step(step=1))


def test_unknown_types_are_skipped_and_unknown_keys_ignored() -> None:
    assert decode(b'{"type":"from_the_future","time":1,"step":[1]}') is None
    record = decode(b'{"type":"step","time":1,"step":4,"colour":"blue"}')
    assert isinstance(record, Step)
    assert record.step == 4


@pytest.mark.parametrize(
    "line",
    [
        b"not json",
        b"[1, 2]",
        b"{}",
        b'{"type":5}',
        b'{"type":"step"}',
        b'{"type":"step","step":1.5}',
        b'{"type":"step","step":-1}',
        b'{"type":"step","step":"ten"}',
        b'{"type":"step","step":""}',
        b'{"type":"step","step":1,"loss":"1e400"}',
        b'{"type":"step","step":"1_000"}',
        b'{"type":"sample","step":1,"text":NaN}',
        b'{"type":"step","step":1,"time":NaN}',
        b'{"type":"step","step":1' + b"0" * 400 + b"}",
        b'{"type":"step","step":1,"time":"nan"}',
        b'{"type":"eval","step":1,"loss":{}}',
        b'{"type":"step","step":1,"metrics":{"a":"b"}}',
        b'{"type":"step","step":1,"metrics":[1]}',
        b'{"type":"alert","level":"loud","code":"a","message":"b"}',
        b'{"type":"sample","step":1,"text":"\xff"}',
        b"[" * 100_000,
        b'{"type":"step","step":' + b"[" * 100_000,
    ],
)  # fmt: skip
def test_a_line_that_is_no_record_is_broken_with_a_reason(line: bytes) -> None:
    with pytest.raises(BrokenLineError, match=r"\w"):
        decode(line)


def test_the_schema_describes_every_type_and_numbers_as_strings() -> None:
    schema = json_schema()
    assert {kind.__name__ for kind in RECORD_TYPES} <= set(schema["$defs"])
    assert schema["$defs"]["Eval"]["properties"]["duration_ms"]["anyOf"][0]["anyOf"][1] == {
        "enum": ["nan", "inf", "-inf"]
    }
