"""The table of commands: name, one line of help, and the function that runs it."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tuitrain import __version__

SECTIONS: dict[str, tuple[str, ...]] = {
    "Train": ("launch", "stop", "resume", "checkpoint", "eval", "snapshot"),
    "Look": ("watch", "ls", "show", "status", "logs", "sample"),
    "Keep": ("tag", "note", "rm"),
    "Compare and export": ("compare", "diff", "plot", "export"),
    "Plan and set up": ("plan", "presets", "doctor", "schema"),
}


@dataclass(frozen=True)
class Command:
    """A command and where its function is: a module of `tuitrain.cli.commands` and a name in it."""

    name: str
    module: str
    function: str
    help: str

    def add_to(self, to: typer.Typer) -> None:
        """Import the module, and add what it has to the table."""
        module = import_module(f"tuitrain.cli.commands.{self.module}")
        command = getattr(module, self.function)
        if isinstance(command, typer.Typer):
            to.add_typer(command, name=self.name, short_help=self.help)
        else:
            to.command(self.name, cls=getattr(module, "COMMAND_CLASS", None), short_help=self.help)(command)


COMMANDS: tuple[Command, ...] = (
    Command("launch", "launch", "launch", "Start a training run."),
    Command("stop", "stop", "stop", "End runs gracefully, with a checkpoint."),
    Command("resume", "resume", "resume", "Continue a run from its newest checkpoint."),
    Command("checkpoint", "checkpoint", "checkpoint", "Ask a live run for a checkpoint."),
    Command("eval", "checkpoint", "evaluate", "Ask a live run for an evaluation."),
    Command("snapshot", "checkpoint", "snapshot", "Ask a live run what its GPU memory holds."),
    Command("watch", "watch", "watch", "The dashboard of one or several runs."),
    Command("ls", "ls", "ls", "List runs."),
    Command("show", "show", "show", "Everything about one run."),
    Command("status", "status", "status", "One line about a run, and an exit code; can wait for its end."),
    Command("logs", "logs", "logs", "Console output of a run."),
    Command("sample", "sample", "sample", "Generate text from a checkpoint."),
    Command("tag", "tag", "tag", "Tags of a run: add, take away, list."),
    Command("note", "tag", "note", "Notes of a run: add, take away, list."),
    Command("rm", "rm", "rm", "Remove runs and all that is in their directories."),
    Command("compare", "compare", "compare", "Runs side by side: curves on a terminal, else a table."),
    Command("diff", "diff", "diff", "Configuration keys in which two runs differ."),
    Command("plot", "plot", "plot", "Charts of runs as text, for a pipe or the scrollback."),
    Command("export", "export", "app", "Figures and numbers as files."),
    Command("plan", "plan", "plan", "Parameters, FLOPs, memory and time of a configuration."),
    Command("presets", "presets", "presets", "List the presets, or print one."),
    Command("doctor", "doctor", "doctor", "What this machine has, and what is missing."),
    Command("schema", "schema", "schema", "JSON Schema of the configuration and of the log."),
)


class SectionedGroup(TyperGroup):
    """The list of commands, under headings."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section of the help page for each heading."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=100)) for name in names])


def _print_version(requested: bool) -> None:
    if requested:
        print(f"tuitrain {__version__}")
        raise typer.Exit


def root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """\b
    Examples:
      tuitrain launch llama2-tiny                 train a small model and watch it
      tuitrain watch                              the dashboard of the newest run
      tuitrain compare RUN RUN                    two runs side by side
      tuitrain export plots RUN --format pdf      figures for a paper

    The cockpit for training language models from a terminal: launch, watch, compare, export.
    """


def command_line(only: str | None = None) -> typer.Typer:
    """The command line; with the name of a command only that one, so that no other is imported."""
    app = typer.Typer(
        name="tuitrain",
        cls=SectionedGroup,
        no_args_is_help=True,
        # Plain text: rich help pages cost more than everything else that `--help` does.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(root)
    chosen = [command for command in COMMANDS if command.name == only]
    for command in chosen or COMMANDS:
        command.add_to(app)
    return app
