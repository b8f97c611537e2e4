"""Which losses of several runs measure the same thing: the tokens that they predict, and the text they are held to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from tuitrain.runs import RunHistory

_PADDING = 128
_FROM_CORPUS = ("char", "sentencepiece:")
WHOLE = 0.99
"""The share of a held-out text from which on it counts as evaluated."""

PER_TOKEN_KEYS = frozenset({"final_loss", "last_loss", "final_accuracy"})
VALIDATION_KEYS = frozenset({"final_val_loss", "best_val_loss", "final_perplexity"})
PER_BYTE_KEYS = frozenset({"final_bits_per_byte", "best_bits_per_byte"})
LOSS_KEYS = PER_TOKEN_KEYS | VALIDATION_KEYS | PER_BYTE_KEYS

HeldOut = Literal["same", "samples", "different"]
"""same: the same sequences, as far as the logs say; samples: others of the same text; different: of other text."""


def is_ranked(key: str, histories: Sequence[RunHistory]) -> bool:
    """Whether the values of a metric of these runs are measured in the same unit and on the same data.

    key: of a summary; those that are no loss always are.
    """
    if key in PER_BYTE_KEYS:
        return bits_are_comparable(histories)
    if key in VALIDATION_KEYS:
        return losses_are_comparable(histories) and held_out(histories) != "different"
    return key not in PER_TOKEN_KEYS or losses_are_comparable(histories)


def losses_are_comparable(histories: Sequence[RunHistory]) -> bool:
    """Whether the runs predict the same tokens: the same tokenizer and vocabulary, as far as their logs say.

    Vocabularies that differ only by padding to a multiple of 128, such as 50,257 and 50,304, are the same. A tokenizer
    that is made from the corpus is another one for another corpus.
    """
    names, sizes = tokenizers(histories)
    padded = {-(-size // _PADDING) for size in sizes if size is not None}
    made = {
        (name, data_key(history, "source") if name.startswith(_FROM_CORPUS) else None)
        for name, history in zip(names, histories, strict=True)
        if name is not None
    }
    return len(padded) < 2 and len(made) < 2


def held_out(histories: Sequence[RunHistory]) -> HeldOut:
    """What the newest evaluations of the validation split measure, of the runs that have one."""
    newest = [history.evaluation for history in histories]
    texts = {each.text_fingerprint for each in newest if each is not None}
    marks = {(each.split, each.split_fingerprint) for each in newest if each is not None}
    if len({split for split, _ in marks}) < 2 and len({mark for _, mark in marks} - {None}) < 2:
        return "same"
    return "samples" if len(texts) == 1 and None not in texts else "different"


def bits_are_comparable(histories: Sequence[RunHistory]) -> bool:
    """Whether all runs have bits per byte of one held-out text, whatever their tokenizers."""
    newest = [history.evaluation for history in histories]
    if any(each is None or each.bits_per_byte is None for each in newest):
        return False
    texts = {each.text_fingerprint for each in newest if each is not None}
    if len(texts) == 1 and None not in texts:
        return True
    return losses_are_comparable(histories) and held_out(histories) == "same"


def least_evaluated(histories: Sequence[RunHistory]) -> float | None:
    """The smallest share of the held-out text that any run was evaluated on; None where all were on all of it."""
    newest = [history.evaluation for history in histories]
    shares = [each.text_fraction for each in newest if each is not None and each.text_fraction is not None]
    least = min(shares, default=1.0)
    return least if least < WHOLE else None


def tokenizers(histories: Sequence[RunHistory]) -> tuple[list[str | None], list[int | None]]:
    """The tokenizer and the size of the vocabulary of each run, as far as its log says."""
    shapes = [history.run.architecture if history.run else None for history in histories]
    names = [data_key(history, "tokenizer") for history in histories]
    return names, [shape.vocab_size if shape else None for shape in shapes]


def is_silent(history: RunHistory) -> bool:
    """Whether the log has losses and says nothing of their tokens and their text, as many of other tools do not."""
    (name,), (size,) = tokenizers([history])
    newest = history.evaluation
    text = newest.text_fingerprint or newest.split_fingerprint if newest is not None else None
    has_losses = newest is not None or history.steps.has("loss")
    return has_losses and name is None and size is None and data_key(history, "source") is None and text is None


def data_key(history: RunHistory, key: str) -> str | None:
    """A key of the run's data section."""
    value = history.section("data").get(key)
    return None if value is None else str(value)
