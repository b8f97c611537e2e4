"""A comparison as tables of LaTeX with the rules of the package booktabs."""

from __future__ import annotations

import re

from tuitrain.analysis.compare import Comparison
from tuitrain.export.grids import Cell, Grid, comparison_grids, comparison_sentences
from tuitrain.text import clean

_HEAD = (
    "% Needs \\usepackage{booktabs} and \\usepackage[T1]{fontenc}; names in other scripts than Latin and Greek need "
    "XeLaTeX or LuaLaTeX.\n"
)
_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "`": r"\textasciigrave{}", '"': r"\textquotedbl{}",
    # After \\ these would begin an argument.
    "[": "{[}", "*": "{*}",
    # Two of them are a ligature.
    "-": "{-}",
    "−": "$-$", "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "→": r"$\to$", "≤": r"$\le$", "≥": r"$\ge$",
    "≈": r"$\approx$", "²": "$^2$", "°": r"$^\circ$", "…": r"\ldots{}", "µ": r"$\mu$",
    "∞": r"$\infty$",
}  # fmt: skip
_GREEK = (
    "αalpha βbeta γgamma δdelta εepsilon ζzeta ηeta θtheta ιiota κkappa λlambda μmu νnu ξxi πpi ρrho σsigma τtau "
    "υupsilon φphi χchi ψpsi ωomega ΓGamma ΔDelta ΘTheta ΛLambda ΞXi ΠPi ΣSigma ΦPhi ΨPsi ΩOmega"
)
_SIGNS |= {each[0]: f"$\\{each[1:]}$" for each in _GREEK.split()}
_CONTROL_PICTURES = re.compile("[\u2400-\u2421]")
_SINGLE_HYPHEN = re.compile(r"(?<!\{-\})\{-\}(?!\{-\})")


def latex(comparison: Comparison) -> str:
    """A `tabular` for each grid, the best of a row in bold, the differences to the baseline in brackets.

    The sentences follow as comments. Needs booktabs.
    """
    tables = [_tabular(grid) for grid in comparison_grids(comparison)]
    comments = ["".join(f"% {clean(sentence)}\n" for sentence in each) for each in comparison_sentences(comparison)]
    return "\n".join([_HEAD + tables[0], *tables[1:], *comments])


def _tabular(grid: Grid) -> str:
    head, *rows = (" & ".join(map(_cell, row)) + " \\\\" for row in grid)
    begin = f"\\begin{{tabular}}{{l{'r' * (len(grid[0]) - 1)}}}"
    return "\n".join([begin, "\\toprule", head, "\\midrule", *rows, "\\bottomrule", "\\end{tabular}", ""])


def _cell(cell: Cell) -> str:
    text = escape(cell.text)
    if cell.is_key:
        text = f"\\texttt{{{text}}}"
    if cell.best:
        text = f"\\textbf{{{text}}}"
    return f"{text} ({escape(cell.delta)})" if cell.delta else text


def escape(text: str) -> str:
    """Text of unknown origin as LaTeX that prints it and does nothing else."""
    inert = _CONTROL_PICTURES.sub("?", clean(text))
    return _SINGLE_HYPHEN.sub("-", "".join(_SIGNS.get(sign, sign) for sign in inert))
