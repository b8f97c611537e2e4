"""The checkpoints of a run on disk: complete ones, damaged ones, which to load, which to delete."""

from __future__ import annotations

import shutil
from pathlib import Path

from tuitrain.events.checkpoints import INDEX, SavedCheckpoint, complete_checkpoints
from tuitrain_engine.checkpoint import checksums
from tuitrain_engine.checkpoint.index import CheckpointError, read_index


def newest(run_dir: Path) -> SavedCheckpoint | None:
    """The newest undamaged checkpoint."""
    return choose(run_dir)[0]


def choose(run_dir: Path) -> tuple[SavedCheckpoint | None, list[str]]:
    """The newest undamaged checkpoint, and a sentence on the damage of each newer one."""
    damaged = []
    for saved in reversed(complete_checkpoints(run_dir)):
        problem = damage(saved.path)
        if problem is None:
            return saved, damaged
        damaged.append(problem)
    return None, damaged


def none_sentence(run_dir: Path, damaged: list[str]) -> str:
    """The sentence that a run has no undamaged checkpoint; damaged: sentences on those it has."""
    if not damaged:
        return f"{run_dir} has no complete checkpoint."
    return f"{run_dir} has no undamaged checkpoint. {' '.join(damaged)}"


def discard_after(run_dir: Path, step: int) -> None:
    """Delete incomplete checkpoints, and rename later ones, which are damaged, before a run resumes from `step`.

    Otherwise `prune` would count them among the newest.
    """
    for path in (run_dir / "checkpoints").glob("step-*"):
        if not (path / INDEX).is_file():
            shutil.rmtree(path)
    for saved in complete_checkpoints(run_dir):
        if saved.step > step:
            aside = saved.path.with_name(f"damaged-{saved.path.name}")
            if aside.exists():
                shutil.rmtree(aside)
            saved.path.rename(aside)


def at_step(run_dir: Path, step: int) -> SavedCheckpoint | None:
    """The complete checkpoint of one step."""
    return next((saved for saved in complete_checkpoints(run_dir) if saved.step == step), None)


def prune(run_dir: Path, keep_last: int, best_step: int | None) -> None:
    """Delete all but the newest `keep_last` and the best; the index first, so that none is left half-deleted."""
    kept = complete_checkpoints(run_dir)
    for saved in kept[: max(len(kept) - keep_last, 0)]:
        if saved.step != best_step:
            _delete(saved.path)


def discard(path: Path) -> None:
    """Delete a checkpoint, if it exists."""
    if path.exists():
        _delete(path)


def size_in_bytes(path: Path) -> int:
    """Bytes of all files of a checkpoint."""
    return sum(file.stat().st_size for file in path.iterdir())


def _delete(path: Path) -> None:
    (path / INDEX).unlink(missing_ok=True)
    shutil.rmtree(path)


def damage(path: Path) -> str | None:
    """A sentence on what is wrong with a complete checkpoint; None when it is undamaged.

    Its files must have their checksums, where there are some, and at least the length in the index.
    """
    problem = checksums.problem(path)
    if problem is None:
        try:
            stored = read_index(path).storage_data
        except CheckpointError as error:
            return str(error)
        ends: dict[str, int] = {}
        for info in stored.values():
            ends[info.relative_path] = max(ends.get(info.relative_path, 0), info.offset + info.length)
        short = [name for name, end in ends.items() if not _has_length(path / name, end)]
        problem = f"{' and '.join(short)} is shorter than in the index" if short else None
    return None if problem is None else f"{path} is damaged: {problem}."


def _has_length(path: Path, length: int) -> bool:
    return path.is_file() and path.stat().st_size >= length
