"""Reports and texts of runs."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from PIL import Image

from tests.support import write_run
from tuitrain.cli import main
from tuitrain.events import Alert
from tuitrain.export import markdown
from tuitrain.export.errors import ExportError
from tuitrain.export.grids import Cell
from tuitrain.export.report import ReportedRun, export_report
from tuitrain.export.samples import export_samples
from tuitrain.runs import RunDirectory, RunHistory, Status, load_history
from tuitrain.text import clean, clean_lines

HOSTILE = "<script>alert(1)</script> \"'>&| $x_{$ `a` *b* [c](javascript:d) \x1b[31m"
GITHUB = MarkdownIt("commonmark").enable("table")


class Page(HTMLParser):
    """The tags with their attributes, and the text, of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> list[ReportedRun]:
    path = tmp_path_factory.mktemp("runs")
    runs = [write_run(path, "first", floor=2.0), write_run(path, "second", preset="gpt2-tiny", floor=2.5)]
    read = [(run, load_history(run)) for run in runs]
    return [ReportedRun(run, history, Status.COMPLETED, history.alerts) for run, history in read]


def hostile(run: ReportedRun) -> ReportedRun:
    """The same run, whose every text is hostile."""
    history = load_history(run.directory)
    assert history.run is not None and history.run.architecture is not None and history.run.hardware is not None
    history.run.name = history.run.architecture.name = history.run.hardware.device = HOSTILE
    history.run.config["data"]["source"] = history.run.config[HOSTILE] = HOSTILE
    history.samples[0].text = history.samples[0].prompt = f"{HOSTILE}\n</pre>```\n# heading"
    return ReportedRun(
        run.directory, history, run.status, [Alert(time=0.0, level="warning", code="x", message=HOSTILE)]
    )


def sections(text: str) -> list[str]:
    return re.findall(r"^## (.*)$", text, flags=re.MULTILINE)


def test_a_report_has_its_sections_and_its_figures_beside_it(two: list[ReportedRun], tmp_path: Path) -> None:
    page, *figures = export_report(two, tmp_path, dpi=40)
    text = page.read_text(encoding="utf-8")
    assert text.startswith("# Report: llama2-tiny and gpt2-tiny\n")
    assert sections(text) == [
        "Runs", "Outcomes", "Verdict", "Key findings", "What differs", "Figures", "Where the time went", "Alerts",
        "Numbers that contradict each other", "Samples",
    ]  # fmt: skip
    assert [path.name for path in figures] == [
        "llama2-tiny-vs-gpt2-tiny-comparison.png", "first-analysis.png", "second-analysis.png",
    ]  # fmt: skip
    assert re.findall(r"\]\((.*?)\)", text) == [str(path.relative_to(tmp_path)) for path in figures]
    with Image.open(figures[0]) as image:
        assert image.mode == "P", "a palette takes a third of the space"
    assert "llama2-tiny has the lower validation loss" in text
    assert "| second | " not in text
    assert "| llama2-tiny | warning | 100 | MFU fell by 30 %. |" in text
    assert "def main(self):\n    return 100\n```" in text


def test_a_report_of_one_run_has_no_verdict_on_others(two: list[ReportedRun], tmp_path: Path) -> None:
    page, *figures = export_report(two[:1], tmp_path, dpi=40, image="svg")
    assert [path.name for path in figures] == ["first-analysis.svg", "first-learning.svg"]
    text = page.read_text(encoding="utf-8")
    assert "Key findings" not in sections(text)
    assert "llama2-tiny: good generalisation" in text


def test_one_html_file_has_all_in_it_and_runs_nothing(two: list[ReportedRun], tmp_path: Path) -> None:
    (page,) = export_report([hostile(two[0]), two[1]], tmp_path, as_html=True, dpi=40)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
    text = page.read_text(encoding="utf-8")
    read = Page(text)
    tags = {tag for tag, _ in read.tags}
    assert not tags & {"script", "iframe", "object", "link", "form", "a"}
    attributes = [(name, value) for _, attrs in read.tags for name, value in attrs.items()]
    assert not [name for name, _ in attributes if name.startswith("on") or name == "href"]
    sources = [value or "" for name, value in attributes if name == "src"]
    assert len(sources) == 3
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    policy = [attrs["content"] for tag, attrs in read.tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    assert policy == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
    assert clean(HOSTILE) in read.text
    assert "\x1b" not in text


def test_markdown_shows_hostile_texts_as_they_are(two: list[ReportedRun], tmp_path: Path) -> None:
    page, *_ = export_report([hostile(two[0]), two[1]], tmp_path, dpi=40)
    read = Page(GITHUB.render(page.read_text(encoding="utf-8")))
    assert not {tag for tag, _ in read.tags} & {"script", "a", "em"}
    assert [value for _, attrs in read.tags for name, value in attrs.items() if name == "src"] == [
        str(path.relative_to(tmp_path)) for path in sorted((tmp_path / "figures").iterdir(), key=_comparison_first)
    ]
    assert read.text.count(clean(HOSTILE)) > 5


def _comparison_first(path: Path) -> tuple[bool, str]:
    return "comparison" not in path.name, path.name


TEXTS = st.one_of(st.text(), st.text("`*_[]<>|~$&#-+=1.)(\\!:a \t\n"))


@given(TEXTS)
def test_text_is_text_in_any_markdown(value: str) -> None:
    expected = " ".join(clean(value).split())
    for rendered in (
        Page(GITHUB.render(f"word {markdown.text(value)}")).text.strip().removeprefix("word"),
        Page(GITHUB.render(markdown.sentences([value]))).text,
        Page(GITHUB.render(markdown.table([[Cell("head")], [Cell(value)]]))).text.strip().removeprefix("head"),
        Page(GITHUB.render(f"word {markdown.code(value)}")).text.strip().removeprefix("word").replace("\\|", "|"),
    ):
        assert " ".join(rendered.split()) == expected


@given(TEXTS)
def test_verbatim_text_keeps_its_lines(value: str) -> None:
    page = Page(GITHUB.render(markdown.verbatim(value)))
    assert [tag for tag, _ in page.tags] == ["pre", "code"]
    assert page.text.strip("\n") == clean_lines(value).strip("\n")


def test_a_run_without_numbers_has_a_column_but_no_figure(two: list[ReportedRun], tmp_path: Path) -> None:
    empty = ReportedRun(RunDirectory(two[1].directory.path), RunHistory(), Status.STARTING)
    page, *figures = export_report([two[0], empty], tmp_path, dpi=40)
    assert [path.name for path in figures] == ["first-analysis.png", "first-learning.png"]
    assert "| status | completed | starting |" in page.read_text(encoding="utf-8")


def test_nothing_is_written_where_nothing_can_be_drawn(two: list[ReportedRun], tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="first has nothing to draw yet"):
        export_report([ReportedRun(two[0].directory, RunHistory(), Status.STARTING)], tmp_path / "out", as_html=True)
    assert not (tmp_path / "out").exists()


def test_samples_are_json_as_they_are_and_markdown_inert(two: list[ReportedRun], tmp_path: Path) -> None:
    history = hostile(two[0]).history
    document = json.loads(export_samples("first", history, "json", tmp_path / "samples.json"))
    assert [(each["step"], each["prompt"]) for each in document["samples"]][1:] == [(100, "def ")]
    assert document["samples"][0]["text"] == history.samples[0].text
    assert json.loads((tmp_path / "samples.json").read_text(encoding="utf-8")) == document
    read = Page(GITHUB.render(export_samples("first", history, "markdown")))
    assert [tag for tag, _ in read.tags if re.fullmatch("h.", tag)] == ["h1", "h2", "h2"]
    with pytest.raises(ExportError, match=r"wrote no texts: sampling\.interval"):
        export_samples("x", RunHistory(), "json")


@pytest.mark.parametrize("case", ["seed002-comparison", "seed004-metrics-history", "wandb-offline-killed"])
def test_runs_of_other_tools_have_reports(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUITRAIN_CACHE_DIR", str(tmp_path / "cache"))
    corpus = Path(__file__).parents[1] / "data" / "corpus" / case
    monkeypatch.setattr(
        "sys.argv", ["tuitrain", "export", "report", str(corpus), "--out", str(tmp_path), "--dpi", "30"]
    )
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert "## Outcomes" in (tmp_path / "report.md").read_text(encoding="utf-8")
