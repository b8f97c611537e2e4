"""`tuitrain tag` and `tuitrain note`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli.completion import complete_tag
from tuitrain.cli.lookup import find_one
from tuitrain.cli.options import JsonOption, RunArgument, RunsDirOption
from tuitrain.cli.output import print_json, say
from tuitrain.runs import read_snapshot
from tuitrain.runs.editing import add_note, change_tags, normal_tags, remove_notes


def tag(
    run: RunArgument,
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TAG...]", help="Tags to add. Without one: list them.", autocompletion=complete_tag),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Take these tags away instead.")] = False,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain tag latest baseline sweep-3
      tuitrain tag latest sweep-3 --remove
      tuitrain tag latest
      tuitrain ls tag:baseline

    Add tags to a run, take them away, or list them. Blanks inside a tag become dashes.
    """
    if remove and not tags:
        raise typer.BadParameter("name the tags to take away.", param_hint="--remove")
    names = normal_tags(tags or ())
    if tags and not names:
        raise typer.BadParameter("a tag needs at least one character that is no blank.", param_hint="TAG")
    directory = find_one(run, runs_dir)
    now = read_snapshot(directory).tags
    if remove:
        for missing in [each for each in names if each not in now]:
            say(f"{directory.run_id} has no tag {missing}.")
        now = change_tags(directory, remove=names)
    elif names:
        now = change_tags(directory, add=names)
    if as_json:
        return print_json({"run_id": directory.run_id, "tags": now})
    for each in now:
        print(each)
    return None


def note(
    run: RunArgument,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT...]", help="The note to add. Without one: list them.")
    ] = None,
    remove: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="Take away the note with this number; may be repeated."),
    ] = None,
    as_json: JsonOption = False,
    runs_dir: RunsDirOption = None,
) -> None:
    """\b
    Examples:
      tuitrain note latest "lr halved after the spike at 1,200"
      tuitrain note latest
      tuitrain note latest --remove 2

    Add a note to a run, list its notes, or take one away.
    """
    if text and remove:
        raise typer.BadParameter("give a note to add or numbers to take away, not both.", param_hint="--remove")
    if text and not " ".join(text).strip():
        raise typer.BadParameter("a note needs at least one character that is no blank.", param_hint="TEXT")
    directory = find_one(run, runs_dir)
    if text:
        notes = add_note(directory, " ".join(text))
    else:
        notes = remove_notes(directory, remove) if remove else read_snapshot(directory).notes
    if as_json:
        return print_json({"run_id": directory.run_id, "notes": notes})
    for number, each in enumerate(notes, 1):
        print(f"{number}  {each}")
    return None
