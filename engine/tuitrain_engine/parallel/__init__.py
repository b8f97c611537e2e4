"""How one module becomes a faster or a distributed one. Each function takes a module and returns it changed."""

from tuitrain_engine.parallel.compile import compile_model, decide_compile
from tuitrain_engine.parallel.world import World, decide_strategy

__all__ = ["World", "compile_model", "decide_compile", "decide_strategy"]
