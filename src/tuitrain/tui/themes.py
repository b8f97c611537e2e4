"""The themes that come with tuitrain, as Textual knows them.

The hues of runs come from a search: any two of run 0 to 5 and `validation` are at least 0.07 apart in OKLab, in which
black and white are 1 apart; in the colour-blind themes at least 0.1, as people with protanopia, deuteranopia and
tritanopia see them, too.
A variable of a theme that is not Textual's (`run-1` to `run-5`, `validation`) is read by `palette_of`.
"""

from __future__ import annotations

from textual.theme import Theme


def _runs(validation: str, *hues: str) -> dict[str, str]:
    """The variables of a theme; run 0 has its primary colour."""
    return {"validation": validation, **{f"run-{index}": hue for index, hue in enumerate(hues, start=1)}}


_GROUND, _PAPER = "#0f1318", "#fcfcfa"

SHIPPED: tuple[Theme, ...] = (
    Theme(
        "dark", primary="#4b94f3", secondary="#2ea2b1", accent="#4b94f3", success="#57c785", warning="#e5a83b",
        error="#f0657a", foreground="#d8dee6", background=_GROUND, surface="#171c23", panel="#1f262f",
        variables=_runs("#edb8fb", "#8ffbc7", "#ee87b4", "#acbe23", "#9fabfa", "#2ea2b1"),
    ),
    Theme(
        "light", primary="#0b6cc7", secondary="#006271", accent="#0b6cc7", success="#1a7f45", warning="#96600a",
        error="#c0263f", foreground="#1c2127", background=_PAPER, surface="#f1f2ef", panel="#e6e8e4", dark=False,
        variables=_runs("#370c4c", "#00432a", "#c52f74", "#445f0b", "#460d9b", "#006271"),
    ),
    Theme(
        "contrast", primary="#29a9fc", secondary="#86fdff", accent="#29a9fc", success="#3ce07f", warning="#ffbf3f",
        error="#ff8593", foreground="#ffffff", background="#000000", surface="#0d0d0d", panel="#1c1c1c",
        variables=_runs("#ce89c8", "#caf59f", "#f9afc0", "#0dc077", "#babefe", "#86fdff"),
    ),
    Theme(
        "contrast-light", primary="#0047a3", secondary="#004f5c", accent="#0047a3", success="#00561f",
        warning="#6b4000", error="#980014", foreground="#000000", background="#ffffff", surface="#f4f4f4",
        panel="#e8e8e8", dark=False,
        variables=_runs("#3a0a3d", "#006039", "#a3004f", "#4b5200", "#6a1fd0", "#00303b"),
    ),
    Theme(
        "colour-blind", primary="#0edefe", secondary="#4284b3", accent="#0edefe", success="#a0f3c7",
        warning="#e4a817", error="#d5545b", foreground="#d8dee6", background=_GROUND, surface="#171c23",
        panel="#1f262f", variables=_runs("#e0721e", "#e797aa", "#cfd162", "#9a98fa", "#4284b3", "#cffcd9"),
    ),
    Theme(
        "colour-blind-light", primary="#0d4e63", secondary="#8759c1", accent="#0d4e63", success="#557d4c",
        warning="#553f00", error="#340001", foreground="#1c2127", background=_PAPER, surface="#f1f2ef",
        panel="#e6e8e4", dark=False,
        variables=_runs("#b94000", "#8759c1", "#2a776b", "#330013", "#423506", "#00144f"),
    ),
    Theme(
        "terminal", ansi=True, primary="ansi_blue", secondary="ansi_cyan", warning="ansi_yellow", error="ansi_red",
        success="ansi_green", accent="ansi_cyan", foreground="ansi_default", background="ansi_default",
        surface="ansi_default", panel="ansi_default", boost="ansi_default",
        variables={
            "ansi-background": "ansi_default", "ansi-foreground": "ansi_default", "border": "ansi_blue",
            "border-blurred": "ansi_bright_black", "block-cursor-foreground": "ansi_black",
            "block-cursor-background": "ansi_cyan", "input-cursor-background": "ansi_cyan",
            "input-cursor-foreground": "ansi_black", "input-cursor-text-style": "none",
            "input-selection-background": "ansi_cyan", "input-selection-foreground": "ansi_black",
            "screen-selection-background": "ansi_cyan", "screen-selection-foreground": "ansi_black",
        },
    ),
)  # fmt: skip
