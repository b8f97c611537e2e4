"""How many bytes of text each token stands for, so that a loss per token can be turned into one per byte."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from tuitrain_engine.data.tokenizers import (
    ByteTokenizer,
    CharTokenizer,
    HuggingFaceTokenizer,
    IdTokenizer,
    SentencePieceTokenizer,
    Tokenizer,
)

UNKNOWN = -1
"""Of a token that stands for text which it does not restore."""
SPACE = "\u2581"
"""What SentencePiece and its kind write for a space."""
PROBE = "The quick  brown fox:\n\tnaïve café, Ünïcödé ①ﬁ½ 日本語 🙂\n  end  of\n\nit."
"""A text that a tokenizer which keeps all text restores: blanks, marks, characters that normalisation would change."""
_BYTE = re.compile(r"<0x[0-9A-F]{2}>")


def token_bytes(tokenizer: Tokenizer) -> np.ndarray | None:
    """Bytes in UTF-8 of the text of each id (int32, by id); None where they are unknown or the ids lose text.

    0: the id is no text, such as the end of a document. UNKNOWN: the id stands for whatever the vocabulary lacks. The
    bytes of the ids of a text add up to its own. None: bare ids, and tokenizers that change text, by normalisation or
    by dropping blanks, so that their losses are not those of the text.
    """
    match tokenizer:
        case ByteTokenizer():
            sizes = np.ones(tokenizer.vocab_size, dtype=np.int32)
        case CharTokenizer():
            sizes = np.array([len(character.encode()) for character in tokenizer.characters], dtype=np.int32)
            if tokenizer.unknown is not None:
                sizes[tokenizer.unknown] = UNKNOWN
        case SentencePieceTokenizer() | HuggingFaceTokenizer():
            candidates = (_sizes(tokenizer, size) for size in (_size_of_piece, len))
            fitting = next((each for each in candidates if _adds_up(tokenizer, each)), None)
            if fitting is None:
                return None
            sizes = fitting
        case _:
            assert isinstance(tokenizer, IdTokenizer)
            return None
    if tokenizer.end_of_document is not None:
        sizes[tokenizer.end_of_document] = 0
    return sizes


def text_bytes(sizes: np.ndarray | None, ids: np.ndarray) -> int | None:
    """Bytes of text that these ids (of any shape; negative ones count nothing) stand for; None where unknown."""
    if sizes is None:
        return None
    each = sizes[ids[ids >= 0]]
    return None if (each == UNKNOWN).any() else int(each.sum(dtype=np.int64))


def _size_of_piece(piece: str) -> int:
    """Bytes of a piece in the manner of SentencePiece: text with marks for its spaces, or one byte by its value."""
    return 1 if _BYTE.fullmatch(piece) else len(piece.replace(SPACE, " ").encode())


def _sizes(tokenizer: SentencePieceTokenizer | HuggingFaceTokenizer, size: Callable[[str], int]) -> np.ndarray:
    """The size of each token; that of the byte-level alphabet of GPT-2 is `len`, since each character is one byte."""
    added = tokenizer.added() if isinstance(tokenizer, HuggingFaceTokenizer) else set()
    sizes = [
        0 if text is None else len(text.encode()) if number in added else size(text)
        for number, text in enumerate(tokenizer.texts())
    ]
    if tokenizer.unknown is not None:
        sizes[tokenizer.unknown] = UNKNOWN
    return np.array(sizes, dtype=np.int32)


def _adds_up(tokenizer: SentencePieceTokenizer | HuggingFaceTokenizer, sizes: np.ndarray) -> bool:
    """Whether the ids of a text restore it and have as many bytes; characters that have no ids are left out."""
    text = "".join(each for each in PROBE if (sizes[tokenizer.encode(each)] != UNKNOWN).all())
    ids = tokenizer.encode(text)
    if not len(ids) or tokenizer.decode(ids) != text:
        return False
    # SentencePiece may put a space before a text.
    return text_bytes(sizes, ids) in (len(text.encode()), len(text.encode()) + 1)
