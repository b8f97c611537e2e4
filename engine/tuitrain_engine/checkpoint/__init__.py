"""Checkpoints of a run: writing and loading the state, choosing among those on disk, discarding old ones."""

from tuitrain.events.checkpoints import SavedCheckpoint
from tuitrain.events.checkpoints import checkpoint_directory as directory
from tuitrain.events.checkpoints import complete_checkpoints as complete
from tuitrain_engine.checkpoint.index import CheckpointError, read_index
from tuitrain_engine.checkpoint.state import (
    SaveError,
    finish_saving,
    load,
    load_model,
    save,
    stager,
    start_saving,
)
from tuitrain_engine.checkpoint.storage import (
    at_step,
    choose,
    damage,
    discard,
    discard_after,
    newest,
    none_sentence,
    prune,
    size_in_bytes,
)

__all__ = [
    "CheckpointError", "SaveError", "SavedCheckpoint", "at_step", "choose", "complete", "damage", "directory",
    "discard", "discard_after", "finish_saving", "load", "load_model", "newest", "none_sentence", "prune",
    "read_index", "save", "size_in_bytes", "stager", "start_saving",
]  # fmt: skip
