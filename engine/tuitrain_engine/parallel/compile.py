"""torch.compile, where it is asked for and can work."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from tuitrain_engine.decision import Decision

CXX_COMPILERS = ("c++", "g++", "clang++")


def decide_compile(asked: bool, device: torch.device) -> Decision:
    """Whether to compile. On CPU the generated kernels are C++, so a compiler must be there."""
    if not asked:
        return Decision("compile", "off", "train.compile = false")
    if device.type == "cuda":
        return Decision("compile", "on", "whole model, Triton kernels")
    found = next((name for name in CXX_COMPILERS if shutil.which(name)), None)
    if found is None:
        return Decision("compile", "off", f"CPU kernels need a C++ compiler; none of {', '.join(CXX_COMPILERS)}")
    return Decision("compile", "on", f"whole model, CPU kernels built by {found}")


def compile_model(model: nn.Module, decision: Decision) -> Callable[..., Any]:
    """The forward pass to train with: compiled, or the module itself.

    The module is left as it is, for text generation (whose lengths vary at each token) and checkpoints.
    """
    return torch.compile(model, dynamic=False) if decision.value == "on" else model
