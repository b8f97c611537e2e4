"""The table of commands: name, one line of help, and the module that has its function."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tuitrain import __version__


@dataclass(frozen=True)
class Command:
    """A command of `tuitrain.cli.commands`. module: default its name; function: default its name, or a typer app."""

    name: str
    help: str
    module: str = ""
    function: str = ""

    def load(self) -> Any:
        """Import the module; returns the command, or a group of commands."""
        content = getattr(
            import_module(f"tuitrain.cli.commands.{self.module or self.name}"), self.function or self.name
        )
        if isinstance(content, typer.Typer):
            return typer.main.get_command(content)
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command(self.name)(content)
        return typer.main.get_command(app)


SECTIONS: dict[str, tuple[Command, ...]] = {
    "Train": (
        Command("launch", "Start a training run.", function="app"),
        Command("queue", "The runs that wait for a free GPU or CPU slot.", function="app"),
        Command("stop", "End runs gracefully, with a checkpoint."),
        Command("resume", "Continue a run from its newest checkpoint."),
        Command("fork", "Start a new run from a checkpoint of another one."),
        Command("pause", "Let a run wait between two steps.", "checkpoint"),
        Command("continue", "Let a paused run go on.", "checkpoint", "continue_"),
        Command("checkpoint", "Request a checkpoint from a live run."),
        Command("eval", "Request an evaluation from a live run.", "checkpoint", "evaluate"),
        Command("snapshot", "Request a snapshot of the GPU memory from a live run.", "checkpoint"),
    ),
    "Inspect": (
        Command("watch", "Open the dashboard of one or several runs."),
        Command("ls", "List runs."),
        Command("show", "Details of a run."),
        Command("status", "Status of a run, in one line and as the exit code."),
        Command("logs", "Print the console output of a run."),
        Command("check", "Alerts of runs, once or as they come, and where they are sent."),
        Command("sample", "Generate text from a checkpoint."),
    ),
    "Organise": (
        Command("tag", "Add, remove or list the tags of a run."),
        Command("note", "Add, remove or list the notes of a run.", "tag"),
        Command("import", "Make runs of ours from logs of other tools.", "import_", "import_"),
        Command("rm", "Remove runs with their directories."),
    ),
    "Compare and export": (
        Command("compare", "Compare runs: curves on a terminal, otherwise a table."),
        Command("audit", "Check that the numbers of a log agree with each other."),
        Command("diff", "List the configuration keys in which two runs differ."),
        Command("plot", "Print charts of runs as text."),
        Command("export", "Write figures, metrics or weights to files.", function="app"),
    ),
    "Plan and set up": (
        Command("plan", "Parameters, FLOPs, memory and time of a configuration."),
        Command("presets", "List the presets, or print one."),
        Command("doctor", "Check what is installed on this machine and what is missing."),
        Command("schema", "Print the JSON Schema of the configuration, the log and other formats."),
    ),
}
COMMANDS = {command.name: command for commands in SECTIONS.values() for command in commands}


class LazyGroup(TyperGroup):
    """The list of commands, under headings. The module of a command is imported when the command is used."""

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section of the help page for each heading."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name, command.help) for command in commands])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name of the command that the arguments begin with, the command, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, COMMANDS[name].load() if name else command, rest


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


def command_line() -> typer.Typer:
    """The command line."""
    app = typer.Typer(
        name="tuitrain",
        cls=LazyGroup,
        no_args_is_help=True,
        # Plain text: rich help pages cost more than everything else that `--help` does.
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    )
    app.callback()(root)
    for command in COMMANDS.values():
        # Without options until the command is used.
        app.command(command.name, short_help=command.help)(lambda: None)
    return app
