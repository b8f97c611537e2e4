"""What the nodes of a run tell each other: one JSON object a line, both ways; an empty line only says "I am here"."""

from __future__ import annotations

import msgspec

from tuitrain.launch.errors import LaunchError


class Message(msgspec.Struct, tag_field="what", kw_only=True):
    """Any of those below."""


class Hello(Message, tag="hello"):
    """To the first node. rank: None where only the facts of the run are asked for. gpus: processes of this node."""

    version: str
    rank: int | None = None
    host: str = ""
    gpus: int = 0


class Facts(Message, tag="facts"):
    """The answer: which run this is, its nodes, and the processes of each. least: with so many nodes it goes on."""

    run_id: str
    nodes: int
    least: int
    gpus: int
    host: str


class Refused(Message, tag="refused"):
    """The other answer, in a sentence."""

    reason: str


class Round(Message, tag="round"):
    """torchrun is to start. ranks: of the nodes that train, in the order of their processes; the others wait.

    id: of torchrun's rendezvous; port: of its store, on the first node; options: further ones of the engine.
    """

    id: str
    port: int
    ranks: list[int]
    options: list[str]


class Ended(Message, tag="ended"):
    """To the first node: torchrun has ended here, with this exit code."""

    id: str
    code: int


class Abort(Message, tag="abort"):
    """The round has lost a node."""

    id: str


class Over(Message, tag="over"):
    """The run has ended, or this attempt at it. again: whether the first node may start another."""

    code: int
    again: bool = False


AnyMessage = Hello | Facts | Refused | Round | Ended | Abort | Over
_decoder = msgspec.json.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """The line of a message."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> AnyMessage:
    """The message of a line. Raises LaunchError for any other text."""
    try:
        message: AnyMessage = _decoder.decode(line)
    except (msgspec.MsgspecError, UnicodeError):
        raise LaunchError("What answers there is no run of tuitrain.", exit_code=1) from None
    return message
