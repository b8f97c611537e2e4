"""How the application starts the engine: `python -m tuitrain_engine COMMAND --run-dir DIR`."""

from __future__ import annotations

import argparse
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import Literal

from tuitrain.events.requests import stop_reason
from tuitrain.files import os_error_text
from tuitrain.text import clean, clean_lines, guard_output
from tuitrain_engine.control import Control, StopRequested
from tuitrain_engine.peers import Peers

FAILURE, USAGE, NOT_FOUND, INTERRUPTED = 1, 2, 3, 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(arguments)
    try:
        return _run(options)
    except OSError as error:
        sentence = os_error_text(error)
        if sentence is None:
            raise
        print(clean(f"tuitrain: {sentence}"), file=sys.stderr)
        return FAILURE


def _run(options: argparse.Namespace) -> int:
    if options.command == "train":
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                # The console is a file in UTF-8, and a followed log must be up to date.
                stream.reconfigure(encoding="utf-8", errors="replace", line_buffering=True)
    else:
        guard_output()
    if not (options.run_dir / "config.toml").is_file():
        print(clean(f"tuitrain: {options.run_dir} is no run directory: it has no config.toml."), file=sys.stderr)
        return NOT_FOUND
    rank, size = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and rank > 0:
        _redirect_output(options.run_dir, rank)
    if options.command == "train":
        return _train(options.run_dir, rank, size, resume=options.resume, resume_config=options.config)
    return _other(options)


def _train(run_dir: Path, rank: int, size: int, *, resume: bool, resume_config: Path | None) -> int:
    """Train; signals and the end of torchrun are handled from now on, before torch is imported."""
    control, peers = Control(run_dir, reads_files=rank == 0), Peers(run_dir, rank, size)
    peers.watch()
    try:
        control.listen()
        from tuitrain.config import ConfigError
        from tuitrain_engine import lifecycle

        try:
            # A relative path is one in the run directory.
            config = None if resume_config is None else run_dir / resume_config
            return lifecycle.run_attempt(run_dir, control, peers, resume=resume, resume_config=config)
        except lifecycle.AlreadyTrainedError as error:
            print(clean_lines(str(error)), file=sys.stderr)
            return USAGE
        except ConfigError as error:
            peers.report(str(error))
            print(clean_lines(str(error)), file=sys.stderr)
            _write_end(run_dir, rank, "failed", str(error))
            return USAGE
        except OSError as error:
            reason = os_error_text(error) or str(error)
            with suppress(OSError):
                peers.report(reason)
                _write_end(run_dir, rank, "failed", reason)
            raise
    except StopRequested as request:
        _write_end(run_dir, rank, "stopped", f"{stop_reason(str(request))} before the first step")
        return INTERRUPTED if control.interrupted else 0


def _write_end(run_dir: Path, rank: int, status: Literal["stopped", "failed"], reason: str) -> None:
    """The `end` record of an attempt that had not begun."""
    if rank == 0:
        from tuitrain import events

        with events.EventWriter(run_dir / "metrics.jsonl") as log:
            log.write(events.End(status=status, reason=reason))


def _other(options: argparse.Namespace) -> int:
    """The commands other than train."""
    # torch takes seconds to import; a wrong command line is reported before that.
    from tuitrain.config import ConfigError
    from tuitrain_engine import commands
    from tuitrain_engine.checkpoint import CheckpointError
    from tuitrain_engine.data import CacheError, DataError

    try:
        if options.command == "check-checkpoint":
            commands.check_checkpoint(options.run_dir)
        elif options.command == "export-weights":
            commands.export_weights(
                options.run_dir, options.out, step=options.step, split=options.split, dtype=options.dtype,
                as_json=options.json,
            )  # fmt: skip
        else:
            commands.sample(
                options.run_dir, options.prompt, max_tokens=options.max_tokens, temperature=options.temperature,
                top_k=options.top_k, top_p=options.top_p, seed=options.seed, step=options.step, as_json=options.json,
            )  # fmt: skip
    except CheckpointError as error:
        print(f"tuitrain: {error}", file=sys.stderr)
        return NOT_FOUND
    except (ConfigError, DataError) as error:
        print(f"tuitrain: {error}", file=sys.stderr)
        return FAILURE if isinstance(error, CacheError) else USAGE
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _redirect_output(run_dir: Path, rank: int) -> None:
    """Redirect the output of a process other than the first to console.N.log, that of C++ libraries included."""
    console = os.open(run_dir / f"console.{rank}.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
        os.dup2(console, stream.fileno())
    os.close(console)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tuitrain_engine", description="The engine of tuitrain.")
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("train", help="train the run in a directory")
    train.add_argument("--resume", action="store_true", help="continue from its newest whole checkpoint")
    train.add_argument("--config", type=Path, help="another configuration to resume with, which becomes the run's")
    sample = commands.add_parser("sample", help="continue a text with a checkpoint")
    sample.add_argument("--prompt", required=True)
    sample.add_argument("--max-tokens", type=int)
    sample.add_argument("--temperature", type=float)
    sample.add_argument("--top-k", type=int)
    sample.add_argument("--top-p", type=float)
    sample.add_argument("--seed", type=int)
    sample.add_argument("--step", type=int, help="of the checkpoint; default: the newest")
    check = commands.add_parser("check-checkpoint", help="prove that the newest checkpoint loads")
    export = commands.add_parser("export-weights", help="write weights in Hugging Face layout")
    export.add_argument("--out", type=Path, required=True, help="a new directory")
    export.add_argument("--step", type=int, help="of the checkpoint; default: the newest")
    export.add_argument("--split", action="store_true", help="body, embeddings and output head in files of their own")
    export.add_argument("--dtype", choices=("float32", "bfloat16", "float16"), default="float32")
    for command in (sample, export):
        command.add_argument("--json", action="store_true")
    for command in (train, sample, check, export):
        command.add_argument("--run-dir", type=Path, required=True)
    return parser


if __name__ == "__main__":
    sys.exit(main())
