"""The model zoo: one transformer class driven by the config, one concept a file."""

from tuitrain_engine.model.cache import Cache
from tuitrain_engine.model.init import assign, initialise
from tuitrain_engine.model.transformer import Transformer

__all__ = ["Cache", "Transformer", "assign", "initialise"]
