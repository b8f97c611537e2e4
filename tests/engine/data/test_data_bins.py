"""nanoGPT's train.bin and val.bin, read in place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tuitrain.config import ConfigError
from tuitrain_engine.data import DataError, Dataset, bins

Opened = Callable[..., Dataset]


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """900 and 100 ids below 65, and a meta.pkl that would leave a file behind if it were unpickled."""
    path = tmp_path / "shakespeare_char"
    path.mkdir()
    ids = np.arange(1000) * 7 % 65
    ids[:900].astype("<u2").tofile(path / "train.bin")
    ids[900:].astype("<u2").tofile(path / "val.bin")
    (path / "meta.pkl").write_bytes(b"cos\nsystem\n(S'touch " + bytes(tmp_path / "pwned") + b"'\ntR.")
    return path


def test_the_ids_are_those_of_the_files(opened: Opened, directory: Path, tmp_path: Path) -> None:
    dataset = opened(f"bin:{directory}")
    assert (dataset.train.tokens, dataset.val.tokens, dataset.vocab_size) == (900, 100, 65)
    x, y = dataset.train.batch(0, 10)
    assert ((x + 7) % 65 == y).all()
    assert dataset.tokenizer.decode(x[0]).split() == [str(number) for number in x[0].tolist()]
    assert "text is shown as ids" in "\n".join(dataset.describe())
    assert not (tmp_path / "pwned").exists()


def test_the_largest_id_is_computed_once(opened: Opened, directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(f"bin:{directory}")
    with monkeypatch.context() as patched:
        patched.setattr(bins, "_SCAN_TOKENS", 0)  # a range of step 0 raises
        assert opened(f"bin:{directory}").vocab_size == 65
    np.array([99] * 100, "<u2").tofile(directory / "val.bin")
    assert opened(f"bin:{directory}").vocab_size == 100


def test_without_val_bin_the_tail_is_held_out(opened: Opened, directory: Path) -> None:
    (directory / "val.bin").unlink()
    dataset = opened(f"bin:{directory}", val_fraction=0.1)
    assert (dataset.train.tokens, dataset.val.tokens) == (810, 90)
    assert int(dataset.val.batch(0, 1)[0][0, 0]) == 810 * 7 % 65


def test_max_tokens_takes_the_first_tokens(opened: Opened, directory: Path) -> None:
    assert opened(f"bin:{directory}", max_tokens=500).train.tokens == 500


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: (path / "train.bin").unlink(), r"train\.bin does not exist"),
        (lambda path: (path / "train.bin").write_bytes(b""), r"train\.bin is not a file of uint16 ids"),
        (lambda path: (path / "val.bin").write_bytes(b"123"), r"val\.bin is not a file of uint16 ids"),
    ],
)
def test_unusable_files_are_named(
    opened: Opened, directory: Path, spoil: Callable[[Path], object], sentence: str
) -> None:
    spoil(directory)
    with pytest.raises(DataError, match=sentence):
        opened(f"bin:{directory}")


def test_samples_need_documents(opened: Opened, directory: Path) -> None:
    with pytest.raises(DataError, match="bin:DIR has only ids"):
        opened(f"bin:{directory}", packing="sample")


def test_a_vocabulary_smaller_than_the_ids_is_an_error(opened: Opened, directory: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.vocab_size = 64 "):
        opened(f"bin:{directory}", vocab_size=64)


def test_uint32_ids_are_read_when_configured(opened: Opened, tmp_path: Path) -> None:
    ids = (np.arange(1000) * 131 + 70_000).astype("<u4")
    ids.tofile(tmp_path / "train.bin")
    dataset = opened(f"bin:{tmp_path}", bin_dtype="uint32", val_fraction=0.1)
    assert (dataset.train.tokens, dataset.val.tokens, dataset.vocab_size) == (900, 100, int(ids.max()) + 1)
    x, y = dataset.train.batch(0, 5)
    assert (x + 131 == y).all()
    assert "uint32" in "\n".join(dataset.describe())
    # The largest id of the same bytes read as uint16 is another one.
    assert opened(f"bin:{tmp_path}").vocab_size <= 65_536
    (tmp_path / "train.bin").write_bytes(b"123456")
    with pytest.raises(DataError, match=r"not a file of uint32 ids: its size is 6 bytes; data\.bin_dtype"):
        opened(f"bin:{tmp_path}", bin_dtype="uint32")
