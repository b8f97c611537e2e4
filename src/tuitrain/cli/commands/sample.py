"""`tuitrain sample`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.engine import require_checkpoint, run_engine
from tuitrain.cli.lookup import find_own_one


def sample(
    run: options.Run,
    prompt: Annotated[str | None, typer.Option(help="Text to continue. Default: the run's sampling.prompt.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=1, help="Tokens to generate.")] = None,
    temperature: Annotated[float | None, typer.Option(min=0, help="Temperature; 0: the most likely token.")] = None,
    top_k: Annotated[int | None, typer.Option(min=0, help="Sample from the K most likely tokens; 0: all.")] = None,
    top_p: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Sample from the most likely tokens of this probability; 1: all."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Random seed: the same seed gives the same text.")] = None,
    step: options.CheckpointStep = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain sample latest --prompt "def main("
      tuitrain sample latest --prompt "import " --temperature 0 --max-tokens 40
      tuitrain sample latest --prompt "class " --top-p 0.9 --seed 7

    Generate text from a checkpoint of a run. Options that are not given are as in the configuration of the run.
    """
    directory = find_own_one(run, runs_dir)
    require_checkpoint(directory, "sample from")
    if prompt is None:
        # Imported here: `--help` does without.
        from tuitrain.config import load_config

        prompt = load_config(str(directory.config)).sampling.prompt
    values = {"prompt": prompt, "max-tokens": max_tokens, "temperature": temperature, "top-k": top_k, "top-p": top_p,
              "seed": seed, "step": step, "json": as_json}  # fmt: skip
    run_engine("sample", directory, values)
