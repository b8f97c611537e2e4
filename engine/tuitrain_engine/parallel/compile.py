"""torch.compile, where it is asked for and can work."""

from __future__ import annotations

import shutil

import torch

from tuitrain_engine.decision import Decision
from tuitrain_engine.model import Transformer

CXX_COMPILERS = ("c++", "g++", "clang++")


def decide_compile(asked: bool, device: torch.device) -> Decision:
    """Whether to compile. On CPU the generated kernels are C++, so a compiler must be there."""
    if not asked:
        return Decision("compile", "off", "train.compile = false")
    if device.type == "cuda":
        return Decision("compile", "on", "each block, Triton kernels")
    found = next((name for name in CXX_COMPILERS if shutil.which(name)), None)
    if found is None:
        return Decision("compile", "off", f"CPU kernels need a C++ compiler; none of {', '.join(CXX_COMPILERS)}")
    return Decision("compile", "on", f"each block, CPU kernels built by {found}")


def compile_blocks(model: Transformer, decision: Decision) -> None:
    """Compile each block in place: alike as they are, one compilation serves them all, on any number of layers.

    The blocks are what can be compiled under every strategy, since a shard is gathered before a block and given up
    after it. Embedding, final norm and loss stay as they are.
    """
    if decision.value == "on":
        for block in model.blocks:
            block.compile(dynamic=False)
