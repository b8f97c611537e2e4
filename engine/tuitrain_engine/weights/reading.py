"""Loads pretrained weights: `model.init_from`, a Hugging Face directory or a name on the Hub.

Only safetensors are read: a pickle can run code when it is loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import get_model_state_dict

from tuitrain.config import ConfigError, ModelConfig
from tuitrain.files import expanded, parse_json, path_kind, read_regular, shortened
from tuitrain_engine.decision import Decision
from tuitrain_engine.model import Transformer, assign
from tuitrain_engine.weights.hf_config import MOST_CONFIG_BYTES, config_from_hf
from tuitrain_engine.weights.layouts import HEAD, Layout, Piece, layout_for

WEIGHTS_FILE = "model.safetensors"
INDEX_FILE = "model.safetensors.index.json"
_PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
_FLOATS = ("F64", "F32", "F16", "BF16")
# Tables that older releases of transformers stored beside the weights.
_TABLES = re.compile(r"\.attn\.(masked_)?bias$|\.rotary_emb\.inv_freq$")
# Settings that may differ from those of the weights: a longer context or another base is a thing one tries.
_FREE = ("seq_len", "norm_eps", "rope_theta", "rope_scaling", "window")


@torch.no_grad()
def load_pretrained(model: nn.Module, config: ModelConfig) -> Decision:
    """Fill a model, sharded or not, with the weights that `config.init_from` names; returns what was loaded.

    One tensor at a time is held whole. Raises ConfigError, in one sentence, when there are no such weights or they are
    of another model.
    """
    assert config.init_from is not None
    origin = f"model.init_from = {shortened(config.init_from)}"
    try:
        directory = find(config.init_from)
        differing = _compare(config_from_hf(directory), config)
        layout = layout_for(config)
        with Tensors(directory, layout.prefix) as tensors:
            pieces = _checked_pieces(layout, config, tensors)
            for name, parameter in get_model_state_dict(model).items():
                source = "embedding.token.weight" if name not in pieces else name
                assign(parameter, _assemble(pieces[source], tensors)[: parameter.shape[0]])
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    reason = f"{layout.name} layout, safetensors"
    return Decision("weights", f"from {config.init_from}", "; ".join([reason, *differing]))


def find(name: str) -> Path:
    """The directory that `model.init_from` names, downloaded first for hf:NAME. Raises ConfigError."""
    if name.startswith("hf:"):
        return _download(name.removeprefix("hf:"))
    try:
        path = expanded(name)
        kind = path_kind(path)
    except OSError as error:
        raise ConfigError(f"{error.strerror}.") from None
    if kind != "directory":
        raise ConfigError("no such directory; give one in Hugging Face layout, or hf:NAME.")
    return path


def _download(name: str) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=["config.json", "model*.safetensors", INDEX_FILE]))
    except (OSError, ValueError) as error:
        reason = str(error).strip().split("\n")[0]
        raise ConfigError(
            f"could not be fetched: {reason} Without a network, give a directory with its config.json and safetensors."
        ) from None


def _compare(theirs: dict[str, Any], config: ModelConfig) -> list[str]:
    """Settings that differ and may, in words. Raises ConfigError with what to set when the models are not the same."""
    ours = config.model_dump(mode="json")
    differing = {key: value for key, value in theirs.items() if ours[key] != value and not _zero_bias(key, ours)}
    fixed = {key: value for key, value in differing.items() if key not in _FREE}
    if fixed:
        settings = " ".join(f"model.{key}={_text(value)}" for key, value in fixed.items())
        raise ConfigError(f"these weights are of another model than this configuration describes: set {settings}.")
    if config.position == "learned" and config.seq_len > theirs["seq_len"]:
        known = theirs["seq_len"]
        raise ConfigError(f"these weights know only {known} learned positions: set model.seq_len={known} or less.")
    # A shorter context is no other model, only less of it.
    return [
        f"{key} is {_text(ours[key])}, theirs was {_text(value)}"
        for key, value in differing.items()
        if key != "seq_len" or config.seq_len > value
    ]


def _zero_bias(key: str, ours: dict[str, Any]) -> bool:
    """GPT-2's layout has biases even where the model has none; they are looked at when they are read."""
    return key == "bias" and ours["position"] == "learned" and not ours["bias"]


def _text(value: object) -> str:
    if isinstance(value, dict):
        return " ".join(f"{key} {number:g}" for key, number in value.items())
    return str(value).lower() if isinstance(value, bool) else "none" if value is None else shortened(str(value))


class Tensors:
    """The tensors of a directory's safetensors files by name, read on access."""

    def __init__(self, directory: Path, prefix: str) -> None:
        self._stack = ExitStack()
        self._readers: dict[str, tuple[Callable[[str], Any], str]] = {}
        try:
            for path in _files(directory):
                reader = self._stack.enter_context(safe_open(path, framework="pt"))
                for stored in reader.keys():  # noqa: SIM118 - not a dict
                    # A bare base model was saved without the name of the attribute that holds it in the whole one.
                    name = stored if stored.startswith((prefix, HEAD)) else prefix + stored
                    if not _TABLES.search(name):
                        self._readers[name] = reader.get_slice, stored
        except (SafetensorError, OSError) as error:
            self._stack.close()
            raise ConfigError(f"{path.name} is not a readable safetensors file ({shortened(str(error))}).") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __contains__(self, name: str) -> bool:
        return name in self._readers

    def names(self) -> set[str]:
        """Names as of the whole model."""
        return set(self._readers)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape as stored."""
        return tuple(self._slice(name).get_shape())

    def dtype(self, name: str) -> str:
        """safetensors' name of the element type, such as BF16."""
        return str(self._slice(name).get_dtype())

    def read(self, name: str) -> Tensor:
        """The tensor, on the CPU."""
        tensor: Tensor = self._slice(name)[:]
        return tensor

    def _slice(self, name: str) -> Any:
        get_slice, stored = self._readers[name]
        return get_slice(stored)


def _files(directory: Path) -> list[Path]:
    index = directory / INDEX_FILE
    if (directory / WEIGHTS_FILE).is_file():
        return [directory / WEIGHTS_FILE]
    if index.is_file():
        try:
            names = sorted(set(parse_json(read_regular(index, MOST_CONFIG_BYTES).decode())["weight_map"].values()))
            # Names alone: an index may not point out of its directory.
            paths = [directory / name for name in names if Path(name).name == name and name.endswith(".safetensors")]
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(f"{INDEX_FILE} cannot be read ({error}).") from None
        absent = next((name for name in names if not (directory / name).is_file()), None)
        if len(paths) < len(names) or absent is not None:
            raise ConfigError(f"{INDEX_FILE} names {absent or 'files'} that this directory does not hold.")
        return paths
    pickles = sorted(path.name for path in directory.iterdir() if path.suffix in _PICKLES)
    if pickles:
        raise ConfigError(
            f"{pickles[0]} is a pickle, which can run code when it is loaded: only safetensors are read; convert it "
            "with transformers' save_pretrained."
        )
    raise ConfigError(f"there is no {WEIGHTS_FILE} in {directory}.")


def _checked_pieces(layout: Layout, config: ModelConfig, tensors: Tensors) -> dict[str, Piece]:
    """The pieces that fill this model, by our name, once every tensor is there in its right shape and type."""
    full = {piece.ours: piece for piece in layout.pieces(layout.with_biases(config))}
    shapes = parameter_shapes(layout.with_biases(config))
    expected = {name: shape for piece in full.values() for name, shape in their_shapes(piece, shapes).items()}
    _refuse(expected.keys() - tensors.names(), "is missing")
    extra = tensors.names() - expected.keys()
    if config.tied_embeddings and HEAD in extra:
        extra -= {HEAD}
        if not torch.equal(tensors.read(HEAD), tensors.read(layout.embedding)):
            raise ConfigError(f"{HEAD} is not the embedding table: set model.tied_embeddings=false.")
    _refuse(extra, "does not exist in this model")
    for name, shape in expected.items():
        stored = tensors.shape(name)
        if name.endswith("wpe.weight") and stored[0] > shape[0]:
            stored = (shape[0], *stored[1:])
        if stored != shape:
            raise ConfigError(f"{name} has shape {list(stored)}, this model needs {list(shape)}.")
        if tensors.dtype(name) not in _FLOATS:
            raise ConfigError(f"{name} holds {tensors.dtype(name)}, not floating-point numbers: it is quantised.")
    ours = parameter_shapes(config)
    for name in full.keys() - ours.keys():
        if torch.any(tensors.read(full[name].theirs[0])):
            raise ConfigError(
                f"{full[name].theirs[0]} is not zero, and this model has no such bias: set model.bias=true "
                "model.norm_bias=true."
            )
    return {name: full[name] for name in ours if name in full}


def _refuse(names: Iterable[str], reason: str) -> None:
    ordered = sorted(names)
    if ordered:
        more = f" (and {len(ordered) - 1} more like it)" if len(ordered) > 1 else ""
        raise ConfigError(f"{ordered[0]} {reason}{more}.")


def parameter_shapes(config: ModelConfig) -> dict[str, tuple[int, ...]]:
    """Shapes of a model's parameters by name; of tied embeddings the one table goes by both its names."""
    # The mask has none, and would need the token that ends a document.
    config = config.model_copy(update={"document_mask": False})
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in Transformer(config).state_dict().items()}


def their_shapes(piece: Piece, shapes: dict[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Shapes of the layout's tensors that hold one of our parameters."""
    shape = shapes[piece.ours]
    if piece.rows:
        return {name: (rows, *shape[1:]) for name, rows in zip(piece.theirs, piece.rows, strict=True)}
    return {piece.theirs[0]: tuple(reversed(shape)) if piece.transposed else shape}


def _assemble(piece: Piece, tensors: Tensors) -> Tensor:
    parts = [tensors.read(name) for name in piece.theirs]
    whole = torch.cat(parts) if len(parts) > 1 else parts[0]
    return whole.t() if piece.transposed else whole
