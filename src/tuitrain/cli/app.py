"""The table of commands: names, one line about each, and the function that does it."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from tuitrain import __version__
from tuitrain.cli.commands import (
    checkpoint,
    compare,
    diff,
    doctor,
    export,
    launch,
    logs,
    ls,
    plan,
    presets,
    resume,
    sample,
    schema,
    show,
    status,
    stop,
    watch,
)

SECTIONS: dict[str, tuple[str, ...]] = {
    "Train": ("launch", "stop", "resume", "checkpoint", "eval", "snapshot"),
    "Look": ("watch", "ls", "show", "status", "logs", "sample"),
    "Compare and export": ("compare", "diff", "export"),
    "Plan and set up": ("plan", "presets", "doctor", "schema"),
}


class SectionedGroup(TyperGroup):
    """The list of commands, under headings."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; newer versions of typer put the kind of the error before the sentence about it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write one section of the help page for each heading."""
        for title, names in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, self.commands[name].get_short_help_str(limit=100)) for name in names])


app = typer.Typer(
    name="tuitrain",
    cls=SectionedGroup,
    no_args_is_help=True,
    # Plain text: rich help pages cost more than everything else that `--help` does.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"tuitrain {__version__}")
        raise typer.Exit


@app.callback()
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


app.command("launch", cls=launch.LaunchCommand, short_help="Start a training run.")(launch.launch)
app.command("stop", short_help="End runs gracefully, with a checkpoint.")(stop.stop)
app.command("resume", short_help="Continue a run from its newest checkpoint.")(resume.resume)
app.command("checkpoint", short_help="Ask a live run for a checkpoint.")(checkpoint.checkpoint)
app.command("eval", short_help="Ask a live run for an evaluation.")(checkpoint.evaluate)
app.command("snapshot", short_help="Ask a live run what its GPU memory holds.")(checkpoint.snapshot)
app.command("watch", short_help="The dashboard of one or several runs.")(watch.watch)
app.command("ls", short_help="List runs.")(ls.ls)
app.command("show", short_help="Everything about one run.")(show.show)
app.command("status", short_help="One line about a run, and an exit code; can wait for its end.")(status.status)
app.command("logs", short_help="Console output of a run.")(logs.logs)
app.command("sample", short_help="Generate text from a checkpoint.")(sample.sample)
app.command("compare", short_help="Runs side by side: curves on a terminal, else a table.")(compare.compare)
app.command("diff", short_help="Configuration keys in which two runs differ.")(diff.diff)
app.add_typer(export.app, name="export", short_help="Figures and numbers as files.")
app.command("plan", short_help="Parameters, FLOPs, memory and time of a configuration.")(plan.plan)
app.command("presets", short_help="List the presets, or print one.")(presets.presets)
app.command("doctor", short_help="What this machine has, and what is missing.")(doctor.doctor)
app.command("schema", short_help="JSON Schema of the configuration and of the log.")(schema.schema)
