from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.histories import history
from tuitrain.analysis.compare import compare_runs
from tuitrain.export.latex import escape
from tuitrain.export.tables import render_comparison

# What a reader of LaTeX prints for what the escaping writes, longest first.
PRINTED = {
    r"\textbackslash{}": "\\", r"\textasciitilde{}": "~", r"\textasciicircum{}": "^", r"\textasciigrave{}": "`",
    r"\textquotedbl{}": '"', r"\textless{}": "<", r"\textgreater{}": ">", r"\textbar{}": "|", r"\ldots{}": "…",
    r"\{": "{", r"\}": "}", r"\$": "$", r"\&": "&", r"\#": "#", r"\%": "%", r"\_": "_", "{[}": "[", "{*}": "*",
    "{-}": "-", r"$\pm$": "±", r"$\times$": "×", "$-$": "−", r"$\mu$": "μ",
}  # fmt: skip
TOKEN = re.compile("|".join(map(re.escape, PRINTED)) + "|.")


def printed(text: str) -> str:
    return "".join(PRINTED.get(token, token) for token in TOKEN.findall(text))


@given(st.text(alphabet=st.sampled_from("ab1 _%&$#{}~^\\<>|[]*-`'\"±×−μ")))
def test_what_is_printed_is_the_text(text: str) -> None:
    assert printed(escape(text)) == text
    bare = TOKEN.sub(lambda token: "" if token[0] in PRINTED else token[0], escape(text))
    assert not set(bare) & set("_%&$#{}~^\\[*")
    assert "--" not in escape(text)


def test_a_table_of_booktabs_with_the_best_in_bold() -> None:
    runs = [("gpt2_tiny & co", history(loss=2.0)), ("[best] 100%", history(loss=1.0, config={"optim": {"lr": 0.2}}))]
    text = render_comparison(compare_runs(runs), "latex")
    assert r"at the end of each run & gpt2\_tiny \& co (baseline) & {[}best] 100\% \\" in text
    assert r"loss, mean of the end & 2.0000 & \textbf{1.0000} ($-$50.0 \%) \\" in text
    assert r"\texttt{optim.lr} & 0.1 & 0.2 \\" in text
    for rule in (r"\begin{tabular}{lrr}", r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}"):
        assert text.count(rule) == 2
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {2}
    sentences = [line for line in text.splitlines() if line and not line.endswith(r"\\") and not line.startswith("\\")]
    assert all(line.startswith("% ") for line in sentences)
    assert any("lower training loss" in line for line in sentences)


@pytest.mark.parametrize("name", ["two\nlines \\input{secret}", "\x1b[31mred", "tab\there"])
def test_a_name_adds_no_line_and_no_command(name: str) -> None:
    text = render_comparison(compare_runs([(name, history()), ("b", history())]), "latex")
    plain = render_comparison(compare_runs([("a", history()), ("b", history())]), "latex")
    assert text.count("\n") == plain.count("\n")
    assert "\x1b" not in text
    tables = "".join(line for line in text.splitlines() if not line.startswith("%"))
    assert r"\input" not in tables
