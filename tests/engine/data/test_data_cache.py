"""The cache of token shards: reuse, invalidation, damage, interrupted preparation."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.warm_engine import WarmProcess
from tokenizers import Tokenizer, models, pre_tokenizers

from tuitrain.config import ConfigError
from tuitrain_engine.data import DataError, Dataset, prepare, progress, shards
from tuitrain_engine.data.shards import ShardWriter, TokenShards, dtype_for
from tuitrain_engine.data.tokenizers import ByteTokenizer

Opened = Callable[..., Dataset]


def prepared_in(cache: Path) -> list[Path]:
    return sorted(path for path in (cache / "datasets").iterdir() if path.is_dir())


def manifest_of(directory: Path) -> dict:
    return json.loads((directory / "manifest.json").read_text())


def stream(cache: Path, split: str, dtype: str = "<u2") -> np.ndarray:
    (directory,) = prepared_in(cache)
    return np.concatenate([np.fromfile(path, dtype) for path in sorted(directory.glob(f"{split}-*.bin"))])


def test_the_manifest_describes_the_shards(opened: Opened, corpus: Path, cache: Path) -> None:
    opened(corpus)
    (directory,) = prepared_in(cache)
    manifest = manifest_of(directory)
    text = [path.read_bytes() for path in sorted(corpus.iterdir())]
    splits = manifest["splits"]
    assert splits["train"]["documents"] == 38
    assert splits["val"]["documents"] == 2
    assert splits["train"]["tokens"] + splits["val"]["tokens"] == sum(map(len, text)) + 40
    assert manifest["dtype"] == "uint16"
    assert manifest["tokenizer"] == "byte"
    assert manifest["source_bytes"] == sum(map(len, text))
    for split in splits.values():
        assert sum(file["tokens"] for file in split["files"]) == split["tokens"]
        assert all((directory / file["name"]).stat().st_size == file["bytes"] for file in split["files"])


def test_whole_documents_are_held_out_and_nothing_is_lost(opened: Opened, corpus: Path, cache: Path) -> None:
    opened(corpus, val_fraction=0.1)
    documents = {split: ByteTokenizer().decode(stream(cache, split)).split("\0")[:-1] for split in ("train", "val")}
    originals = [path.read_text(encoding="utf-8") for path in sorted(corpus.iterdir())]
    assert len(documents["val"]) == 4
    assert sorted(documents["train"] + documents["val"]) == sorted(originals)


def test_a_second_opening_reuses_the_shards(
    opened: Opened, corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened(corpus)
    assert any("tokenized in" in line for line in first.describe())
    monkeypatch.setattr(prepare, "_tokenize", lambda *_: pytest.fail("tokenized again"))
    second = opened(corpus)
    assert any("cached in" in line for line in second.describe())
    assert (first.train.batch(0, 4)[0] == second.train.batch(0, 4)[0]).all()


@pytest.mark.parametrize("keys", [{"tokenizer": "char"}, {"val_fraction": 0.2}, {"max_tokens": 900}])
def test_another_request_has_shards_of_its_own(opened: Opened, corpus: Path, cache: Path, keys: dict) -> None:
    opened(corpus)
    opened(corpus, **keys)
    assert len(prepared_in(cache)) == 2


def test_a_changed_source_is_tokenized_again_with_a_message(
    opened: Opened, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = opened(corpus)
    capsys.readouterr()
    (corpus / "07.txt").write_text("changed, and longer than it was before\n" * 9)
    after = opened(corpus)
    assert "corpus has changed since it was tokenized: tokenizing it again" in capsys.readouterr().err
    assert after.train.tokens != before.train.tokens


def test_a_modified_file_of_the_same_size_invalidates_the_cache(opened: Opened, corpus: Path, cache: Path) -> None:
    opened(corpus)
    os.utime(corpus / "07.txt", ns=(1, 1))
    opened(corpus)
    assert len(prepared_in(cache)) == 2


def test_damaged_shards_are_rebuilt(
    opened: Opened, corpus: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = opened(corpus)
    (directory,) = prepared_in(cache)
    os.truncate(directory / "train-00000.bin", 10)
    after = opened(corpus)
    assert "is incomplete or damaged: tokenizing corpus again" in capsys.readouterr().err
    assert after.train.tokens == before.train.tokens
    assert (directory / "train-00000.bin").stat().st_size == 2 * after.train.tokens


def damaged(content: bytes) -> list[bytes]:
    return [b"", content[: len(content) // 2], b"\xff" * len(content), b"[" * 100_000]


@pytest.mark.parametrize(
    "name",
    ["manifest.json", "train-00000.bin", "val-00000.bin", "train.documents.npy", "tokenizer/tokenizer_info.json"],
)
def test_any_broken_file_of_the_cache_is_rebuilt(opened: Opened, corpus: Path, cache: Path, name: str) -> None:
    before = opened(corpus, packing="sample").train.batch(0, 30)
    (directory,) = prepared_in(cache)
    for content in damaged((directory / name).read_bytes()):
        (directory / name).write_bytes(content)
        after = opened(corpus, packing="sample")
        assert any("tokenized in" in line for line in after.describe())
        assert all((one == other).all() for one, other in zip(before, after.train.batch(0, 30), strict=True))
    assert any("cached in" in line for line in opened(corpus, packing="sample").describe())


def test_a_broken_cached_vocabulary_is_trained_again(opened: Opened, corpus: Path, cache: Path) -> None:
    for number in range(100):
        (corpus / f"words-{number}.txt").write_text(f"some other words, function_{number}(argument): return\n")
    keys = {"tokenizer": "sentencepiece:300"}
    before = opened(corpus, **keys)
    (model,) = (cache / "tokenizers").glob("*/tokenizer.model")
    content = model.read_bytes()
    model.write_bytes(content[:100])
    assert opened(corpus, val_fraction=0.2, **keys).tokenizer.fingerprint == before.tokenizer.fingerprint
    assert model.read_bytes() == content


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EROFS])
def test_an_unwritable_cache_is_one_sentence_with_its_path(
    opened: Opened, corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(self: Path, *_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number), str(self))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(DataError) as caught:
        opened(corpus)
    assert str(cache) in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    assert "TUITRAIN_CACHE_DIR" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_where_the_cache_should_be_is_one_sentence(opened: Opened, corpus: Path, cache: Path) -> None:
    cache.write_text("not a directory")
    with pytest.raises(DataError, match="Set TUITRAIN_CACHE_DIR to another directory"):
        opened(corpus)


def test_ids_outside_of_the_vocabulary_are_named_and_no_index_error(
    opened: Opened, corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As for shards too large to be checked at each start."""
    monkeypatch.setattr(shards, "CHECKED_BYTES", 0)
    opened(corpus)
    (directory,) = prepared_in(cache)
    file = directory / "train-00000.bin"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(DataError, match=r"train-00000\.bin is damaged: it contains the id 65,535, .* has 256\. Delete"):
        opened(corpus).train.batch(0, 4)


def test_shards_that_become_shorter_while_they_are_read_are_named(opened: Opened, corpus: Path, cache: Path) -> None:
    dataset = opened(corpus)
    (directory,) = prepared_in(cache)
    os.truncate(directory / "train-00000.bin", 10)
    with pytest.raises(DataError, match=r"train-00000\.bin became shorter while it was read"):
        dataset.train.batch(0, 4)


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError, MemoryError])
def test_an_interrupted_preparation_leaves_no_files(
    opened: Opened, corpus: Path, cache: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    written = ShardWriter.append

    def interrupt_half_way(self: ShardWriter, ids: np.ndarray) -> None:
        if self.tokens > 2000:
            raise error
        written(self, ids)

    with monkeypatch.context() as patched:
        patched.setattr(ShardWriter, "append", interrupt_half_way)
        with pytest.raises(error):
            opened(corpus)
    assert prepared_in(cache) == []
    assert opened(corpus).train.tokens > 2000


def test_files_of_a_killed_process_are_removed(opened: Opened, corpus: Path, cache: Path) -> None:
    opened(corpus)
    (directory,) = prepared_in(cache)
    # As after SIGKILL: the unfinished directory is there, the finished one is not.
    directory.rename(directory.with_name(directory.name + ".unfinished"))
    opened(corpus)
    assert prepared_in(cache) == [directory]


def test_processes_that_start_at_once_tokenize_once(corpus: Path, cache: Path, tmp_path: Path) -> None:
    program = WarmProcess([str(corpus)], module="tests.engine.data.opening_worker", env=os.environ, cwd=tmp_path)
    output, errors = program.communicate(timeout=120)
    assert program.returncode == 0, errors
    results = json.loads(output)
    assert sum(built for _, _, built in results) == 1
    assert len({(tokens, str(ids)) for tokens, ids, _ in results}) == 1
    assert len(prepared_in(cache)) == 1


def test_one_long_document_holds_out_its_tail(opened: Opened, tmp_path: Path) -> None:
    text = "".join(f"{number} " for number in range(3000))
    (tmp_path / "book.txt").write_text(text)
    dataset = opened(tmp_path / "book.txt", tokenizer="char", val_fraction=0.1)
    assert dataset.vocab_size == 11
    assert dataset.tokenizer.end_of_document is None
    assert dataset.train.tokens == int(len(text) * 0.9)
    assert dataset.train.tokens + dataset.val.tokens == len(text)
    assert "tail of the text" in "\n".join(dataset.describe())
    x, _ = dataset.val.batch(0, dataset.val.n_sequences)
    held = text[dataset.train.tokens :]
    assert all(dataset.tokenizer.decode(row) in held for row in x)


def test_max_tokens_is_an_exact_limit(opened: Opened, corpus: Path) -> None:
    dataset = opened(corpus, max_tokens=3000)
    assert dataset.train.tokens + dataset.val.tokens == 3000
    assert "cut at 3.00 k tokens (data.max_tokens)" in "\n".join(dataset.describe())


def test_characters_after_max_tokens_are_not_in_the_vocabulary(opened: Opened, tmp_path: Path) -> None:
    for name, text in (("a", "ab" * 500), ("b", "cd" * 500), ("c", "yz" * 500)):
        (tmp_path / f"{name}.txt").write_text(text)
    dataset = opened(tmp_path / "?.txt", tokenizer="char", max_tokens=1500)
    assert dataset.tokenizer.characters == "\0abcd"


def test_the_dtype_depends_on_the_vocabulary() -> None:
    assert dtype_for(65_536) == "uint16"
    assert dtype_for(65_537) == "uint32"


def test_ids_above_65535_are_stored(opened: Opened, tmp_path: Path, cache: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({f"w{number}": number for number in range(70_000)}, unk_token="w0"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    numbers = [65_535, 65_536, 69_999, 1, *range(66_000, 66_200)]
    (tmp_path / "text.txt").write_text(" ".join(f"w{number}" for number in numbers))
    dataset = opened(tmp_path / "text.txt", tokenizer=str(tmp_path / "tokenizer.json"), val_fraction=0.25)
    assert dataset.vocab_size == 70_000
    assert stream(cache, "train", "<u4").tolist() == numbers
    ids, _ = dataset.train.batch(0, dataset.train.n_sequences)
    assert int(ids.max()) > 65_536
    assert "uint32" in "\n".join(dataset.describe())


def test_a_stream_over_several_files_reads_as_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shards, "SHARD_TOKENS", 7)
    writer = ShardWriter(tmp_path, "train", "uint16")
    for start in range(0, 40, 10):
        writer.append(np.arange(start, start + 10))
        writer.end_document()
    split = writer.close()
    assert [file.tokens for file in split.files] == [7, 7, 7, 7, 7, 5]
    reader = TokenShards([tmp_path / file.name for file in split.files], "uint16", first_token=3)
    assert reader.tokens == 37
    for start in range(37):
        for length in range(1, 38 - start):
            assert reader.read(start, length).tolist() == list(range(start + 3, start + 3 + length))


def test_a_source_without_text_is_an_error(opened: Opened, tmp_path: Path, cache: Path) -> None:
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(DataError, match=r"empty\.txt' contains no text"):
        opened(tmp_path / "empty.txt")
    assert prepared_in(cache) == []


def test_progress_is_a_plain_line_where_there_is_no_terminal(
    opened: Opened, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(corpus)
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(progress, "LINE_EVERY_S", 0.0)
    opened(corpus, val_fraction=0.1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "tokenizing corpus: 0.0 MB, 13.5 k tokens"
    assert "\x1b" not in "".join(lines)


def test_progress_is_a_bar_on_a_terminal(
    opened: Opened, corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "BAR_AFTER_S", 0.0)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    opened(corpus)
    shown = capsys.readouterr().err
    assert "tokenizing corpus" in shown
    assert "━" in shown


def test_a_vocabulary_too_large_for_the_model_names_both_numbers_and_the_key(opened: Opened, corpus: Path) -> None:
    with pytest.raises(ConfigError, match=r"model\.vocab_size = 100 .*data\.tokenizer = 'byte' \(256\)"):
        opened(corpus, vocab_size=100)
    assert opened(corpus, vocab_size=300).vocab_size == 256


def test_the_report_states_the_number_of_epochs(opened: Opened, corpus: Path) -> None:
    dataset = opened(corpus, token_limit=1_000_000)
    times = 1_000_000 / dataset.train.tokens
    assert dataset.describe()[-1].endswith(f"go over them {times:.1f} times")
    assert not any("epochs" in line for line in opened(corpus, token_limit=1000).describe())
