from __future__ import annotations

import math
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.export.figure_runs import analysis_figure, comparison_figure, hard_case, pair
from tests.extremes import extreme_history
from tests.support import PINNED
from tuitrain.events import Eval, Step
from tuitrain.export.errors import ExportError
from tuitrain.export.figures import export_plots
from tuitrain.export.selection import comparison_stem
from tuitrain.export.style import figure_style
from tuitrain.runs import RunDirectory, RunHistory

# Fixed values for the expected figures, independent of changes to presets.
BUDGET = (*PINNED, "train.token_budget=1M")


@pytest.fixture(autouse=True)
def _our_style() -> Iterator[None]:
    with figure_style():
        yield


def panels(figure: Figure) -> dict[str, Axes]:
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_title(loc="left")}


def words(artist: Figure | Axes) -> str:
    return "\n".join(text.get_text() for text in artist.findobj(Text) if text.get_visible())


def legend_of(axes: Axes) -> list[str]:
    legend = axes.get_legend()
    return [text.get_text() for text in legend.get_texts()] if legend else []


@pytest.fixture(scope="module")
def analysis(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    run, history = pair(tmp_path_factory.mktemp("runs"), overrides=BUDGET, steps=300)
    with figure_style():
        return analysis_figure(history, run.run_id)


@pytest.fixture(scope="module")
def hard() -> Figure:
    with figure_style():
        return analysis_figure(hard_case(), "hard")


def test_the_six_panels_have_their_titles_and_units(analysis: Figure) -> None:
    labels = {title: axes.get_ylabel() for title, axes in panels(analysis).items()}
    assert labels == {
        "Loss": "loss, nats per token",
        "Learning rate": "learning rate",
        "Tokens": "cumulative tokens",
        "Model FLOPs utilisation": "MFU, %",
        "Throughput": "throughput, tokens/s",
        "Memory": "memory per device, GB",
    }
    assert {axes.get_xlabel() for axes in panels(analysis).values()} == {"step"}


def test_the_header_shows_the_runs_metadata(analysis: Figure) -> None:
    head = "\n".join(text.get_text() for text in analysis.texts)
    for fact in (
        "llama2-tiny",
        "4L-4H-128D-RoPE-RMS-SwiGLU-PreNorm",
        "919 k parameters",
        "NVIDIA A100-SXM4-80GB",
        "tokens",
    ):
        assert fact in head


def test_the_loss_has_validation_stars_and_perplexity_as_its_second_scale(analysis: Figure) -> None:
    axes = panels(analysis)["Loss"]
    assert legend_of(axes) == ["training", "validation", "alert"]
    stars = axes.collections[0].get_offsets()
    assert len(stars) == 13
    (second,) = axes.child_axes
    assert second.get_ylabel() == "perplexity"
    low, high = axes.get_ylim()
    assert second.get_ylim() == pytest.approx((math.exp(low), math.exp(high)))


def test_a_figure_of_one_run_marks_its_alerts_and_one_of_several_none(analysis: Figure) -> None:
    """The panels have the same ones: the first names them."""
    feet = {
        name: [each for each in axes.collections if each.get_offset_transform() == axes.get_xaxis_transform()]
        for name, axes in panels(analysis).items()
    }
    assert {len(each) for each in feet.values()} == {1}
    assert [each.get_label() for each in feet["Loss"] + feet["Tokens"]] == ["alert", "_"]


def test_the_rate_is_logarithmic_and_the_end_of_the_warmup_is_marked(analysis: Figure) -> None:
    axes = panels(analysis)["Learning rate"]
    assert axes.get_yscale() == "log"
    assert legend_of(axes) == ["end of warmup, step 20"]
    assert [list(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2] == [[20.0, 20.0]]


def test_tokens_are_shown_with_the_budget_and_the_share(analysis: Figure) -> None:
    axes = panels(analysis)["Tokens"]
    assert "614 k of 1.00 M (budget): 61.4 %" in words(axes)
    assert legend_of(axes) == ["budget 1.00 M"]


def test_utilisation_and_throughput_have_their_means(analysis: Figure) -> None:
    axes = panels(analysis)
    assert legend_of(axes["Model FLOPs utilisation"]) == ["mean 0.8 %"]
    assert legend_of(axes["Throughput"]) == ["mean 400 k tok/s"]


def test_memory_shows_what_is_allocated_its_peak_and_the_capacity(analysis: Figure) -> None:
    assert legend_of(panels(analysis)["Memory"]) == ["peak", "allocated", "capacity 85.9 GB"]


def overlaps(figure: Figure) -> list[str]:
    """Panels in which the title and the legend, or a note and the edge, run into each other."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    overlapping = []
    for title, axes in panels(figure).items():
        legend, frame = axes.get_legend(), axes.get_window_extent(renderer)
        box = axes._left_title.get_window_extent(renderer)  # type: ignore[attr-defined]
        if legend is not None and box.overlaps(legend.get_window_extent(renderer)):
            overlapping.append(f"{title}: legend")
        for text in axes.texts:
            extent = text.get_window_extent(renderer)
            if extent.x0 < frame.x0 or extent.x1 > frame.x1 + 1:
                overlapping.append(f"{title}: {text.get_text()}")
    return overlapping


def test_nothing_overlaps_even_in_the_fullest_figure(analysis: Figure, hard: Figure) -> None:
    assert overlaps(analysis) == []
    assert overlaps(hard) == []


def test_superseded_steps_are_dimmed_and_nan_is_marked(hard: Figure) -> None:
    axes = panels(hard)["Loss"]
    assert legend_of(axes) == ["superseded", "training", "validation", "nan or inf (10)", "resumed"]
    for line in axes.lines:
        assert (np.diff(line.get_xdata()) >= 0).all()


def test_without_a_peak_the_achieved_compute_is_shown_with_the_reason(hard: Figure) -> None:
    axes = panels(hard)["Achieved compute"]
    text = " ".join(words(axes).split())
    assert "MFU n/a: the peak of Genuine Processor" in text
    assert "hardware.peak_tflops" in text
    assert legend_of(axes) == ["mean 2 TFLOP/s"]


def test_a_spike_does_not_flatten_the_curve_and_is_counted() -> None:
    history = RunHistory()
    history.absorb(Step(step=step, loss=100.0 if step == 250 else 3.0 - step / 1000) for step in range(1, 501))
    axes = panels(analysis_figure(history, "a"))["Loss"]
    assert axes.get_ylim()[1] < 5
    assert "1 point above the range" in words(axes)


def test_one_point_has_a_marker() -> None:
    history = RunHistory()
    history.absorb([Step(step=1, tokens=10, loss=2.0, lr=1e-3, tokens_per_sec=5.0, mfu=0.1, mem_peak_gb=1.0)])
    for title, axes in panels(analysis_figure(history, "a")).items():
        assert any(line.get_marker() == "o" for line in axes.lines), title


@pytest.mark.parametrize("value", [math.nan, math.inf, 0.0, -1.0, None])
def test_unusual_and_missing_values_raise_nothing(value: float | None) -> None:
    history = RunHistory()
    history.absorb(
        Step(step=step, loss=value, lr=value, tokens_per_sec=value, mfu=value, tflops=value, mem_peak_gb=value)
        for step in range(1, 40)
    )
    history.absorb([Eval(step=39, loss=math.nan if value is None else value)])
    figure = analysis_figure(history, "a")
    figure.canvas.draw()
    assert len(panels(figure)) == 6


def test_a_loss_that_is_always_nan_has_a_note() -> None:
    history = RunHistory()
    history.absorb(Step(step=step, loss=math.nan) for step in range(1, 21))
    assert "n/a: every loss is nan" in words(panels(analysis_figure(history, "a"))["Loss"])
    figure = comparison_figure([("a", history), ("b", history)])
    assert "n/a: every loss is nan" in words(panels(figure)["Training loss"])
    assert "n/a: the log has no validation loss" in words(panels(figure)["Validation loss"])


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0.0, 1e-12, 3.0, 1000.0, 1e16])
def test_a_constant_series_is_drawn_without_a_warning(value: float) -> None:
    history = RunHistory()
    history.absorb(
        Step(step=step, loss=value, lr=value, tokens_per_sec=value, mfu=value, mem_peak_gb=value)
        for step in range(1, 40)
    )
    analysis, comparison = analysis_figure(history, "a"), comparison_figure([("a", history), ("b", history)])
    # The panels of a comparison are drawn in the same way.
    analysis.canvas.draw()
    for figure, title in ((analysis, "Loss"), (comparison, "Training loss")):
        low, high = panels(figure)[title].get_ylim()
        assert low < value < high


def test_a_panel_without_data_has_the_reason() -> None:
    history = RunHistory()
    history.absorb([Step(step=1, loss=2.0), Step(step=2, loss=1.0)])
    text = " ".join(words(analysis_figure(history, "a")).split())
    for reason in ("no learning rate", "no tokens", "MFU n/a", "no throughput", "no accelerator memory"):
        assert reason in text


@pytest.mark.parametrize(
    ("axis", "label"), [("tokens", "tokens"), ("time", "training time"), ("flops", "compute, FLOP")]
)
def test_every_axis_can_be_drawn(tmp_path: Path, axis: str, label: str) -> None:
    run, history = pair(tmp_path)
    figure = analysis_figure(history, run.run_id, axis)  # type: ignore[arg-type]
    labels = {title: axes.get_xlabel() for title, axes in panels(figure).items()}
    assert labels.pop("Tokens") == ("step" if axis == "tokens" else label)
    assert set(labels.values()) == {label}


def test_many_steps_are_decimated_without_losing_a_spike() -> None:
    history = RunHistory()
    for start in range(0, 200_000, 100_000):
        history.absorb(
            Step(step=step + 1, loss=9.0 if step == 177_777 else 3.0 + 0.01 * (step % 7))
            for step in range(start, start + 100_000)
        )
    figure = analysis_figure(history, "a")
    raw = max(panels(figure)["Loss"].lines, key=lambda line: float(np.nanmax(line.get_ydata())))
    assert len(raw.get_xdata()) < 10_000
    assert float(np.nanmax(raw.get_ydata())) == 9.0


def three(tmp_path: Path) -> list[tuple[RunDirectory, RunHistory]]:
    return [
        pair(tmp_path, f"{name}-20260101-120000-{number}{number}aa", preset=name, floor=2.0 + 0.2 * number)
        for number, name in enumerate(("gpt2-tiny", "llama2-tiny", "llama3-tiny"))
    ]


def test_the_comparison_has_a_curve_of_every_run_and_a_table_of_outcomes(tmp_path: Path) -> None:
    runs = [(history.run.name if history.run else "", history) for _, history in three(tmp_path)]
    figure = comparison_figure(runs, "tokens")
    assert list(panels(figure)) == ["Training loss", "Validation loss", "Throughput", "Model FLOPs utilisation"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["gpt2-tiny", "llama2-tiny", "llama3-tiny"]
    assert len(panels(figure)["Validation loss"].lines) == 3
    table = words(figure)
    for cell in ("mean at end", "last loss", "best val loss", "mean MFU", "842 k", "919 k", "951 k"):
        assert cell in table


def test_a_comparison_of_different_tokenizers_has_a_warning(tmp_path: Path) -> None:
    one = pair(tmp_path, "a")[1]
    two = pair(tmp_path, "b", overrides=("data.tokenizer=char", "model.vocab_size=600"))[1]
    assert "not comparable" in words(panels(comparison_figure([("a", one), ("b", two)]))["Training loss"])


MAGIC = {"png": b"\x89PNG\r\n\x1a\n", "pdf": b"%PDF-", "svg": b"<?xml"}


def test_files_have_the_format_of_their_suffix(tmp_path: Path) -> None:
    run = pair(tmp_path)
    written = export_plots([run], tmp_path / "out", list(MAGIC), dpi=40, figures=("loss",))
    assert written == [tmp_path / "out" / f"{run[0].run_id}-loss.{name}" for name in MAGIC]
    for path in written:
        assert path.read_bytes().startswith(MAGIC[path.suffix[1:]])
    png, pdf, svg = (path.read_bytes() for path in written)
    assert int.from_bytes(png[16:20], "big") == 6.5 * 40
    ElementTree.fromstring(svg)
    # Type 42 is a whole TrueType font in the file, which journals ask for; type 3 is what they refuse.
    assert b"/Type3" not in pdf
    assert b"/FontFile2" in pdf
    again = export_plots([run], tmp_path / "again", list(MAGIC), dpi=40, figures=("loss",))
    assert [path.read_bytes() for path in again] == [png, pdf, svg]


def test_runs_of_the_same_id_do_not_overwrite_each_other(tmp_path: Path) -> None:
    runs = [pair(tmp_path / folder, "same") for folder in ("here", "there")]
    names = [path.name for path in export_plots(runs, tmp_path / "out", dpi=30, figures=("loss",))]
    assert names[:2] == ["same-loss.png", "same-2-loss.png"]


def test_the_file_of_a_comparison_is_named_after_its_runs(tmp_path: Path) -> None:
    runs = three(tmp_path)
    paths = [
        path
        for chosen in (runs[:2], runs[1:])
        for path in export_plots(chosen, tmp_path / "out", dpi=30, figures=("comparison",))
    ]
    assert [path.name for path in paths] == [
        "gpt2-tiny-vs-llama2-tiny-comparison.png", "llama2-tiny-vs-llama3-tiny-comparison.png",
    ]  # fmt: skip
    assert all(path.is_file() for path in paths)


@pytest.mark.parametrize(
    ("names", "stem"),
    [
        (["a (1f2e)", "../b"], "a-1f2e-vs-b-comparison"),
        (["x" * 50, "y" * 50, "z" * 50], f"{'x' * 50}-vs-{'y' * 50}-vs-1 more-comparison".replace(" ", "-")),
        (["x" * 300, "y"], f"{'x' * 119}-comparison"),
    ],
)
def test_the_file_name_of_a_comparison_is_plain_and_short(names: list[str], stem: str) -> None:
    assert comparison_stem(names) == stem


def test_invalid_arguments_raise_before_anything_is_written(tmp_path: Path) -> None:
    run = pair(tmp_path)
    empty = (RunDirectory(tmp_path / "fresh"), RunHistory())
    for arguments, message in (
        (([run], tmp_path / "out", ["gif"]), "known: png, pdf, svg"),
        (([run], tmp_path / "out", []), "No format"),
        (([run], tmp_path / "out", ["png"], 5), "5 dpi"),
        (([], tmp_path / "out"), "name at least one run"),
        (([run, empty], tmp_path / "out"), "fresh has nothing to draw yet"),
    ):
        with pytest.raises(ExportError, match=message):
            export_plots(*arguments)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="not an x axis"):
        export_plots([run], tmp_path / "out", x="wishes")
    assert not (tmp_path / "out").exists()


def test_neither_pyplot_nor_a_window_system_is_touched() -> None:
    code = """
import sys, tuitrain.analysis, tuitrain.export.tables, tuitrain.export.metrics, tuitrain.export.comparison
heavy = ("matplotlib", "matplotlib.pyplot", "pyarrow", "tensorboard", "tkinter")
print(*[name for name in heavy if name in sys.modules], "|")
import tuitrain.export.figures
print(*[name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["|", "matplotlib"]


@pytest.mark.parametrize("seed", range(4))
def test_any_numbers_make_a_figure(seed: int, tmp_path: Path) -> None:
    history = extreme_history(seed)
    for axis in ("step", "time"):
        # A number of hundreds of digits would leave no space for the curves, which is an error.
        assert export_plots([(RunDirectory(tmp_path), history)], tmp_path, dpi=30, x=axis)


HOSTILE = "$\\frac{1}{0$ _$x_{$ \x1b[31m\x00\x07 日本 \ud83d"


@pytest.mark.filterwarnings("error")
def test_texts_of_a_log_are_drawn_verbatim_and_without_a_warning(tmp_path: Path) -> None:
    """Text that matplotlib would parse as mathematics, control characters, characters that the font lacks."""
    runs = [pair(tmp_path, f"{name} $x_{{$\n\x1b]0;t\x07", floor=2.0 + index) for index, name in enumerate("ab")]
    for _, history in runs:
        run = history.run
        assert run is not None and run.architecture is not None and run.hardware is not None
        run.name = run.architecture.name = run.hardware.device = HOSTILE
    written = [
        path
        for name, shown in (("comparison", runs), ("analysis", runs[:1]))
        for path in export_plots(shown, tmp_path / "out", ("svg",), figures=(name,))
    ]
    assert len(written) == 2
    assert all(path.parent == tmp_path / "out" and path.name.isprintable() and " " not in path.name for path in written)
    for path in written:
        text = path.read_text(encoding="utf-8")
        ElementTree.fromstring(text)
        assert "$\\frac{1}{0$ _$x_{$ ␀␇ 日本 �" in text
