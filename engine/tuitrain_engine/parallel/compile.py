"""torch.compile, where it is configured and possible."""

from __future__ import annotations

import shutil

import torch

from tuitrain_engine.decision import Decision
from tuitrain_engine.model import Transformer

CXX_COMPILERS = ("c++", "g++", "clang++")


def decide_compile(configured: bool, device: torch.device) -> Decision:
    """Whether to compile. On CPU the generated kernels are C++, so a C++ compiler is needed."""
    if not configured:
        return Decision("compile", "off", "train.compile = false")
    if device.type == "cuda":
        return Decision("compile", "on", "Triton kernels")
    compiler = next((name for name in CXX_COMPILERS if shutil.which(name)), None)
    if compiler is None:
        return Decision("compile", "off", f"CPU kernels need a C++ compiler; none of {', '.join(CXX_COMPILERS)}")
    return Decision("compile", "on", f"CPU kernels built by {compiler}")


def compile_parts(model: Transformer, decision: Decision, *, together: bool, dense_loss: bool) -> Decision:
    """Compile in place each block, the embedding, and the head where its loss is `dense_loss`; or all `together`.

    Blocks are alike, so one compilation serves them all, on any number of layers. Of a sharded model only parts can be
    compiled, since a part is gathered before it runs and freed after. Of a chunked loss only the operations on the
    logits of a chunk are compiled. One graph of the whole model is some percent faster where the operations between the
    products dominate; its compilation time is multiplied by the number of blocks.
    """
    if decision.value != "on":
        return decision
    together = together and dense_loss
    parts = [model] if together else [*model.blocks, model.embedding, *([model.head] if dense_loss else [])]
    for part in parts:
        part.compile(dynamic=False)
    model.head.fused_loss = not dense_loss
    how = "the whole model in one graph" if together else "each block"
    return Decision(decision.subject, decision.value, f"{how}, {decision.reason}")
