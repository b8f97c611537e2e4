"""`tuitrain tag` and `tuitrain note`."""

from __future__ import annotations

from typing import Annotated

import typer

from tuitrain.cli import options
from tuitrain.cli.completion import complete_tag
from tuitrain.cli.lookup import find_one, refuse_remote
from tuitrain.cli.output import print_json, print_lines, say


def tag(
    run: options.Run,
    tags: Annotated[
        list[str] | None,
        typer.Argument(metavar="[TAG...]", help="Tags to add. Without one: list them.", autocompletion=complete_tag),
    ] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Remove these tags instead.")] = False,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain tag latest baseline sweep-3
      tuitrain tag latest sweep-3 --remove
      tuitrain tag latest
      tuitrain ls tag:baseline

    Add tags to a run, remove them, or list them. Spaces inside a tag become dashes.
    """
    # Imported here: `--help` does without.
    from tuitrain.runs import read_snapshot
    from tuitrain.runs.editing import change_tags, normal_tags

    if remove and not tags:
        raise typer.BadParameter("name the tags to remove.", param_hint="--remove")
    names = normal_tags(tags or ())
    if tags and not names:
        raise typer.BadParameter("a tag needs at least one character other than a space.", param_hint="TAG")
    refuse_remote([run])
    directory = find_one(run, runs_dir)
    before = read_snapshot(directory).tags
    for missing in [name for name in names if remove and name not in before]:
        say(f"{directory.run_id} has no tag {missing}.")
    after = change_tags(directory, **{"remove" if remove else "add": names}) if names else before
    if as_json:
        return print_json({"run_id": directory.run_id, "tags": after})
    return print_lines(after)


def note(
    run: options.Run,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT...]", help="The note to add. Without one: list them.")
    ] = None,
    remove: Annotated[
        list[int] | None,
        typer.Option(min=1, metavar="N", help="Remove the note with this number; may be repeated."),
    ] = None,
    as_json: options.Json = False,
    runs_dir: options.RunsDir = None,
) -> None:
    """\b
    Examples:
      tuitrain note latest "lr halved after the spike at 1,200"
      tuitrain note latest
      tuitrain note latest --remove 2

    Add a note to a run, list its notes, or remove one.
    """
    from tuitrain.runs import read_snapshot
    from tuitrain.runs.editing import add_note, remove_notes

    if text and remove:
        raise typer.BadParameter("give a note to add or numbers to remove, not both.", param_hint="--remove")
    if text and not " ".join(text).strip():
        raise typer.BadParameter("a note needs at least one character other than a space.", param_hint="TEXT")
    refuse_remote([run])
    directory = find_one(run, runs_dir)
    if text:
        notes = add_note(directory, " ".join(text))
    else:
        notes = remove_notes(directory, remove) if remove else read_snapshot(directory).notes
    if as_json:
        return print_json({"run_id": directory.run_id, "notes": notes})
    return print_lines(f"{number}  {each}" for number, each in enumerate(notes, 1))
