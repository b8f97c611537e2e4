"""Export: a run's weights as a directory that `from_pretrained` of transformers reads.

In one file, or in three (body, embeddings, output head) with the index that makes them one model again.
"""

from __future__ import annotations

import errno
import json
import os
import re
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from tuitrain.config import ConfigError, ModelConfig, RunConfig
from tuitrain.files import writing
from tuitrain_engine.data import Tokenizer
from tuitrain_engine.data.progress import note
from tuitrain_engine.model import Transformer
from tuitrain_engine.weights.hf_config import CONFIG_FILE, config_to_hf
from tuitrain_engine.weights.hf_tokenizer import tokenizer_files
from tuitrain_engine.weights.layouts import HEAD, Layout, layout_for
from tuitrain_engine.weights.reading import INDEX_FILE, WEIGHTS_FILE, parameter_shapes

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
BODY_FILE, EMBEDDINGS_FILE, HEAD_FILE = "body.safetensors", "embeddings.safetensors", "head.safetensors"


def check_export(model: ModelConfig, out: Path) -> Layout:
    """The layout to write, into a directory that is there then.

    Raises ConfigError for a model that no layout holds, and for a directory with something in it, and OSError for one
    that cannot be made or written to.
    """
    layout = layout_for(model)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is not an empty directory: name a new one with --out.")
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(out))
    return layout


def export_weights(
    model: Transformer, config: RunConfig, tokenizer: Tokenizer, out: Path, *, dtype: str, split: bool
) -> list[Path]:
    """Write weights, config.json, generation_config.json and the tokenizer's own files; returns the paths.

    config.json is written last: a directory that has it is complete. Raises ConfigError as `check_export` does.
    """
    layout = check_export(config.model, out)
    tensors = _their_tensors(layout, model, DTYPES[dtype])
    if split:
        head = tensors[HEAD] if HEAD in tensors else tensors[layout.embedding].clone()
        names = _write_split(tensors | {HEAD: head}, layout, out)
    else:
        _save(tensors, out / WEIGHTS_FILE)
        names = [WEIGHTS_FILE]
    contents, problem = tokenizer_files(tokenizer, config.model.seq_len)
    if problem is not None:
        note(problem)
    contents["generation_config.json"] = _json(_generation_config(config, tokenizer))
    contents[CONFIG_FILE] = _json(config_to_hf(layout, config.model, dtype, tokenizer.end_of_document))
    for name, content in contents.items():
        with writing(out / name):
            (out / name).write_bytes(content)
    paths = [out / name for name in (*names, *contents)]
    for path in paths:
        # safetensors makes its files private; they are no more so than the rest.
        path.chmod((out / CONFIG_FILE).stat().st_mode)
    return paths


def _their_tensors(layout: Layout, model: Transformer, dtype: torch.dtype) -> dict[str, Tensor]:
    """The tensors of the layout: copies, since no two in a file may share memory."""
    full = layout.with_biases(model.config)
    shapes, ours = parameter_shapes(full), model.state_dict()
    tensors: dict[str, Tensor] = {}
    for piece in layout.pieces(full):
        tensor = ours.get(piece.ours)
        if tensor is None:
            tensor = torch.zeros(shapes[piece.ours])
        tensor = tensor.to("cpu", dtype)
        parts = tensor.split(piece.rows) if piece.rows else [tensor.t() if piece.transposed else tensor]
        for name, part in zip(piece.theirs, parts, strict=True):
            tensors[name] = part.clone(memory_format=torch.contiguous_format)
    return tensors


def _write_split(tensors: dict[str, Tensor], layout: Layout, out: Path) -> list[str]:
    """Three files and their index. The head is whole in its file even where the embeddings are tied."""
    special = {HEAD: HEAD_FILE, layout.embedding: EMBEDDINGS_FILE}
    special |= {name: EMBEDDINGS_FILE for name in tensors if name.endswith("wpe.weight")}
    places = {name: special.get(name, BODY_FILE) for name in tensors}
    for file in (BODY_FILE, EMBEDDINGS_FILE, HEAD_FILE):
        _save({name: tensor for name, tensor in tensors.items() if places[name] == file}, out / file)
    total = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    (out / INDEX_FILE).write_bytes(_json({"metadata": {"total_size": total}, "weight_map": places}))
    return [BODY_FILE, EMBEDDINGS_FILE, HEAD_FILE, INDEX_FILE]


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    # transformers refuses a file that does not say which framework wrote it.
    try:
        save_file(tensors, path, metadata={"format": "pt"})
    except SafetensorError as error:
        code = re.search(r"os error (\d+)", str(error))
        if code is None:
            raise
        raise OSError(int(code[1]), os.strerror(int(code[1])), str(path)) from None


def _generation_config(config: RunConfig, tokenizer: Tokenizer) -> dict[str, Any]:
    """Sampling as the run itself samples."""
    sampling = config.sampling
    tree: dict[str, Any] = {"eos_token_id": tokenizer.end_of_document, "do_sample": sampling.temperature > 0}
    if sampling.temperature > 0:
        tree |= {"temperature": sampling.temperature, "top_k": sampling.top_k, "top_p": sampling.top_p}
    return tree


def _json(tree: dict[str, Any]) -> bytes:
    return (json.dumps(tree, indent=2) + "\n").encode()
