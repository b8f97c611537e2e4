"""Tokenizers with one interface: bytes, characters, SentencePiece, Hugging Face `tokenizer.json`, bare ids.

A tokenizer is saved as a directory: `tokenizer_info.json` and, in the format its own library reads, `tokenizer.model`
(SentencePiece) or `tokenizer.json` (Hugging Face). Nothing here reads or writes a pickle.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from tuitrain.config.source import HUGGINGFACE_FILE, TOKENIZER_INFO
from tuitrain.files import writing
from tuitrain_engine.data.errors import DataError
from tuitrain_engine.data.files import explained, first_line, read_json

SENTENCEPIECE_FILE = "tokenizer.model"
REPLACEMENT = "\ufffd"
"""Replaces a character that is not in the vocabulary."""
USUAL_ENDS = ("<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>", "[SEP]")

Ids = Sequence[int] | np.ndarray


class Tokenizer(Protocol):
    """Text to token ids and back."""

    kind: str
    vocab_size: int
    """One more than the largest id."""
    end_of_document: int | None
    """The id put after each document; generation may stop at it. None: documents are simply joined."""
    fingerprint: str
    """Equal for two tokenizers that give the same ids."""

    def encode(self, text: str) -> np.ndarray:
        """Ids of a text, int64, without the end of a document. Raises DataError for what it cannot express."""
        ...

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Ids of each text, in an integer type of the tokenizer's choice."""
        ...

    def decode(self, ids: Ids) -> str:
        """The text of ids; those outside the vocabulary (a padded embedding has such rows) are left out."""
        ...

    def files(self) -> dict[str, bytes]:
        """Files, by name, from which the tokenizer can be loaded again, besides its info."""
        ...


def _known(ids: Ids, vocab_size: int) -> np.ndarray:
    array = np.asarray(ids, dtype=np.int64).reshape(-1)
    return array[(array >= 0) & (array < vocab_size)]


def _digest(kind: str, content: bytes) -> str:
    return hashlib.sha256(kind.encode() + b"\0" + content).hexdigest()


class ByteTokenizer:
    """One id a byte of UTF-8. NUL, which no text contains, ends a document."""

    kind = "byte"
    vocab_size = 256
    end_of_document: int | None = 0
    fingerprint = _digest("byte", b"")

    def encode(self, text: str) -> np.ndarray:
        return np.frombuffer(text.encode("utf-8"), dtype=np.uint8).astype(np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [np.frombuffer(text.encode("utf-8"), dtype=np.uint8) for text in texts]

    def decode(self, ids: Ids) -> str:
        return _known(ids, 256).astype(np.uint8).tobytes().decode("utf-8", errors="replace")

    def files(self) -> dict[str, bytes]:
        return {}


class CharTokenizer:
    """One id a character of the corpus, in code point order; NUL ends a document, if the corpus has several."""

    kind = "char"

    def __init__(self, characters: str, end_of_document: int | None = None, unknown: int | None = None) -> None:
        """`unknown`: the id of every other character; None: another character is an error."""
        self.characters = characters
        self.unknown = unknown
        self.vocab_size = len(characters)
        self.end_of_document = end_of_document
        self.fingerprint = _digest("char", characters.encode("utf-8") + (b"" if unknown is None else b"\0unknown"))
        self._code_points = np.frombuffer(characters.encode("utf-32-le"), dtype=np.uint32)
        self._ids = np.full(int(self._code_points.max(initial=0)) + 1, -1, dtype=np.int32)
        self._ids[self._code_points] = np.arange(self.vocab_size)

    @classmethod
    def from_corpus(
        cls, characters: Iterable[str], several_documents: bool, replace_unknown: bool = False
    ) -> CharTokenizer:
        """The vocabulary of a corpus. NUL joins it to end documents where there are several.

        U+FFFD joins it to stand for characters that may still come, where only a part of the corpus was looked at.
        """
        joining = ("\0" if several_documents else "") + (REPLACEMENT if replace_unknown else "")
        vocabulary = "".join(sorted({*characters, *joining}))
        unknown = vocabulary.index(REPLACEMENT) if replace_unknown else None
        return cls(vocabulary, 0 if several_documents else None, unknown)

    def encode(self, text: str) -> np.ndarray:
        points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
        ids = self._ids.take(points, mode="clip")
        unknown = (ids < 0) | (points >= self._ids.size)
        if self.unknown is not None:
            ids[unknown] = self.unknown
        elif unknown.any():
            character = chr(int(points[unknown][0]))
            raise DataError(f"The character {character!r} is not in the vocabulary: the corpus has no such character.")
        return ids.astype(np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Ids) -> str:
        content: bytes = self._code_points[_known(ids, self.vocab_size)].tobytes()
        return content.decode("utf-32-le")

    def files(self) -> dict[str, bytes]:
        return {}


class SentencePieceTokenizer:
    """A SentencePiece model. The character U+2581 comes back as a space: SentencePiece means a space by it."""

    kind = "sentencepiece"

    def __init__(self, model: bytes, name: str) -> None:
        """`name`: of the file, for error messages. Raises DataError."""
        import sentencepiece

        # Without a model the library makes a processor that fails whenever it is used.
        self._processor = sentencepiece.SentencePieceProcessor()
        try:
            self._processor.LoadFromSerializedProto(model)
        except RuntimeError:
            raise DataError(f"data.tokenizer: {name} is not a SentencePiece model.") from None
        self._model = model
        self.vocab_size: int = self._processor.vocab_size()
        if not self.vocab_size:
            raise DataError(f"data.tokenizer: {name} is not a SentencePiece model.")
        end = self._processor.eos_id()
        self.end_of_document = end if end >= 0 else None
        self.fingerprint = _digest("sentencepiece", model)

    def encode(self, text: str) -> np.ndarray:
        return np.array(self._processor.encode(text), dtype=np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        threads = min(os.cpu_count() or 1, 16)
        return [np.array(ids, dtype=np.uint32) for ids in self._processor.encode(list(texts), num_threads=threads)]

    def decode(self, ids: Ids) -> str:
        return str(self._processor.decode(_known(ids, self.vocab_size).tolist()))

    def files(self) -> dict[str, bytes]:
        return {SENTENCEPIECE_FILE: self._model}

    @property
    def unknown(self) -> int:
        """The id for text that no other piece expresses."""
        return int(self._processor.unk_id())

    @property
    def unknown_piece(self) -> str:
        """Its piece."""
        return str(self._processor.id_to_piece(self.unknown))

    def texts(self) -> list[str | None]:
        """The piece of each id; None for those that no text is encoded as."""
        model = self._processor
        return [
            None if model.is_control(number) or model.is_unused(number) else str(model.id_to_piece(number))
            for number in range(self.vocab_size)
        ]

    def pieces(self) -> list[tuple[str, float | None]]:
        """Each piece by its id, with the score of those that are text."""
        model = self._processor
        return [
            (
                model.id_to_piece(number),
                None
                if model.is_control(number) or model.is_unknown(number) or model.is_byte(number)
                else model.get_score(number),
            )
            for number in range(self.vocab_size)
        ]


class HuggingFaceTokenizer:
    """A `tokenizer.json`. Only the shard writer makes special tokens, to end documents.

    Inside a text they are encoded as ordinary text, and none is added to a text, such as `[CLS]`.
    """

    kind = "huggingface"

    def __init__(self, content: str, ends: Sequence[str | int], name: str) -> None:
        """`ends`: the id or the tokens that may end a document, of which the first known one does.

        `name`: of the file, for error messages. Raises DataError.
        """
        import tokenizers

        try:
            self._tokenizer = tokenizers.Tokenizer.from_str(content)
        except Exception as error:  # the library raises bare Exception
            reason = first_line(error)
            raise DataError(f"data.tokenizer: {name} is not a Hugging Face tokenizer.json ({reason}).") from None
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._tokenizer.encode_special_tokens = True
        vocabulary = self._tokenizer.get_vocab(with_added_tokens=True)
        self.vocab_size = max(vocabulary.values(), default=-1) + 1
        tokens = {number: token for token, number in vocabulary.items()}
        known = (vocabulary.get(end) if isinstance(end, str) else end for end in ends)
        self.end_of_document = next((end for end in known if end in tokens), None)
        special = {number for number, token in self._tokenizer.get_added_tokens_decoder().items() if token.special}
        special |= {self.end_of_document} - {None}
        self._special = np.isin(np.arange(self.vocab_size), list(special))
        self._special_text = re.compile("|".join(re.escape(tokens[number]) for number in special) or r"(?!)")
        self._content = content
        self._tokens = tokens
        self.fingerprint = _digest("huggingface", f"{self.end_of_document} {content}".encode())

    def encode(self, text: str) -> np.ndarray:
        return self.encode_batch([text])[0].astype(np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [
            self._encode_in_pieces(text) if self._special[ids].any() else ids
            for text, ids in zip(texts, self._ids(texts), strict=True)
        ]

    def _ids(self, texts: Sequence[str]) -> list[np.ndarray]:
        encodings = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [np.array(encoding.ids, dtype=np.uint32) for encoding in encodings]

    def _encode_in_pieces(self, text: str) -> np.ndarray:
        """Ids of a text with special tokens in it, which some models look up like any other word.

        Cut after the first character of each, it has none. Where nothing but the end of a document expresses a
        character, as in a vocabulary without an unknown token of its own, the character is left out.
        """
        cuts, match = [0], self._special_text.search(text)
        while match:
            cuts.append(match.start() + 1)
            match = self._special_text.search(text, cuts[-1])
        ids = np.concatenate(self._ids([text[a:b] for a, b in itertools.pairwise([*cuts, len(text)])]))
        return ids if self.end_of_document is None else ids[ids != self.end_of_document]

    def decode(self, ids: Ids) -> str:
        return str(self._tokenizer.decode(_known(ids, self.vocab_size).tolist(), skip_special_tokens=False))

    @property
    def unknown(self) -> int | None:
        """The id for text that no other token expresses, if there is one."""
        model = json.loads(self._content)["model"]
        number = model.get("unk_id")
        return number if number is not None else self._tokenizer.token_to_id(model.get("unk_token") or "")

    def texts(self) -> list[str | None]:
        """The token of each id; None for those that no text is encoded as."""
        return [None if self._special[number] else self._tokens.get(number) for number in range(self.vocab_size)]

    def added(self) -> set[int]:
        """Ids whose token is the text itself, whatever the alphabet of the others."""
        return set(self._tokenizer.get_added_tokens_decoder())

    def files(self) -> dict[str, bytes]:
        return {HUGGINGFACE_FILE: self._content.encode("utf-8")}


class IdTokenizer:
    """Used where only ids are known, as in nanoGPT's .bin files: text is the ids, written as numbers.

    Text that is not numbers has no ids here; a prompt of such text becomes the single id 0, so that a model can
    still be sampled from.
    """

    kind = "ids"
    end_of_document: int | None = None

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size
        self.fingerprint = _digest("ids", str(vocab_size).encode())

    def encode(self, text: str) -> np.ndarray:
        words = text.split()
        numbers = [int(word) for word in words if word.isascii() and word.isdigit()]
        valid = len(numbers) == len(words) and all(number < self.vocab_size for number in numbers)
        return np.array(numbers if numbers and valid else [0], dtype=np.int64)

    def encode_batch(self, texts: Sequence[str]) -> list[np.ndarray]:
        return [self.encode(text) for text in texts]

    def decode(self, ids: Ids) -> str:
        return " ".join(str(number) for number in _known(ids, self.vocab_size))

    def files(self) -> dict[str, bytes]:
        return {}


def save_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write a tokenizer into the directory `path`, made if need be, for load_tokenizer to read."""
    path.mkdir(parents=True, exist_ok=True)
    info: dict[str, Any] = {
        "kind": tokenizer.kind,
        "vocab_size": tokenizer.vocab_size,
        "end_of_document": tokenizer.end_of_document,
        "fingerprint": tokenizer.fingerprint,
    }
    if isinstance(tokenizer, CharTokenizer):
        info |= {"characters": tokenizer.characters, "unknown": tokenizer.unknown}
    # The info comes last and each file appears at once: a directory with an info file is complete.
    for name, content in (tokenizer.files() | {TOKENIZER_INFO: json.dumps(info, indent=1).encode()}).items():
        partial = path / f".{name}.{os.getpid()}"
        with writing(partial):
            partial.write_bytes(content)
        partial.replace(path / name)


def load_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer that save_tokenizer wrote into the directory `path`.

    Raises DataError if there is none, or it is not as it was written.
    """
    if not (path / TOKENIZER_INFO).exists():
        raise DataError(f"{path} contains no tokenizer: {TOKENIZER_INFO} is missing.")
    info = read_json(path / TOKENIZER_INFO)
    try:
        tokenizer = _from_info(path, info)
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path / TOKENIZER_INFO} cannot be read as a tokenizer: {first_line(error)}.") from None
    if tokenizer.fingerprint != info.get("fingerprint"):
        raise DataError(f"{path} is damaged: its tokenizer differs from the one that was written.")
    return tokenizer


def _from_info(path: Path, info: dict[str, Any]) -> Tokenizer:
    kind = info["kind"]
    if kind == "byte":
        return ByteTokenizer()
    if kind == "char":
        return CharTokenizer(info["characters"], info["end_of_document"], info.get("unknown"))
    if kind == "ids":
        return IdTokenizer(info["vocab_size"])
    if kind == "sentencepiece":
        file = path / SENTENCEPIECE_FILE
        with explained(file):
            model = file.read_bytes()
        return SentencePieceTokenizer(model, str(file))
    if kind == "huggingface":
        file = path / HUGGINGFACE_FILE
        with explained(file):
            content = file.read_text(encoding="utf-8")
        end = info["end_of_document"]
        return HuggingFaceTokenizer(content, () if end is None else (end,), str(file))
    raise DataError(f"{path / TOKENIZER_INFO}: unknown kind of tokenizer {kind!r}.")
