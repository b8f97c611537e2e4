"""tuitrain: launch, watch, compare and export language-model training runs from a terminal."""

__version__ = "0.1.0"
