"""Characters of seven bits in place of the signs and letters that a terminal cannot show."""

from __future__ import annotations

import unicodedata

_BRAILLE = 0x2800
_SIGNS = {
    "─━╌┄╴╶": "-", "│┃┊┆╎": "|", "╭╮╰╯┌┐└┘├┤┬┴┼": "+", "═": "=", "║": "|",
    "●◉": "o", "○◌◯": "o", "▲△▴": "^", "▼▽▾": "v", "■▪": "#", "□▫☐": "=", "◆◇": "x", "✚✛": "+", "★☆": "*", "▵": "'",
    "×✗✘☒": "x", "✓✔☑": "v", "·•∙": ".", "…": "~", "–—": "-", "≡": "=", "±": "~", "°": "'", "Δ": "d",
    "←": "<", "→": ">", "↑": "^", "↓": "v", "↻": "R", "▸▶": ">", "◂◀": "<",
    "█▉▊▋": "#", "▌▍▎▏▐▕": "|", "▓": "%", "▒": "+", "░": ":", "▀": "'", "▔": "-",
    "▁": "_", "▂": ".", "▃": ",", "▄": "-", "▅": "=", "▆": "+", "▇": "#", "≤": "<", "≥": ">", "≈": "~",
    "🔎": "> ", "⏵": ">", "›": ">", "‹": "<", "−": "-", "µ": "u", "μ": "u", "≠": "#", "\u00a0": " ",
}  # fmt: skip
_FULL = 6
"""Of eight dots so many look like a full cell."""


def _braille(dots: int) -> str:
    """The character most like a braille cell."""
    left = [row for row, bit in enumerate((0x01, 0x02, 0x04, 0x40)) if dots & bit]
    right = [row for row, bit in enumerate((0x08, 0x10, 0x20, 0x80)) if dots & bit]
    rows = left + right
    if not rows:
        return " "
    if len(rows) >= _FULL:
        return "#"
    if max(len(left), len(right)) >= 3:
        return "|"
    if left and right and abs(rise := sum(left) / len(left) - sum(right) / len(right)) >= 1.5:
        return "/" if rise > 0 else "\\"
    middle = sum(rows) / len(rows)
    if max(rows) - min(rows) >= 2:
        return ":"
    if middle < 1:
        return "'"
    if middle <= 2:
        return "-"
    return "_" if middle > 2.5 and left and right else "."


_TABLE = str.maketrans(
    # The other frames and blocks, as the widgets of Textual have them.
    {chr(code): "+" if code < 0x2580 else "#" for code in range(0x2500, 0x25A0)}
    | {character: plain for signs, plain in _SIGNS.items() for character in signs}
    | {chr(_BRAILLE + dots): _braille(dots) for dots in range(256)}
)


def seven_bit(text: str) -> str:
    """The text with the signs of charts, frames and bars as seven-bit characters, cell for cell; letters stay."""
    return text if text.isascii() else text.translate(_TABLE)


def encodable(text: str, encoding: str) -> str:
    """The text with what an encoding lacks replaced: signs by their likeness, letters by their base, else by "?"."""
    if text.isascii():
        return text
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return "".join(character if _in(character, encoding) else _likeness(character) for character in text)
    return text


def _in(character: str, encoding: str) -> bool:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _likeness(character: str) -> str:
    if character == "…":
        return "..."
    if ord(character) in _TABLE:
        return str(_TABLE[ord(character)])
    plain = unicodedata.normalize("NFKD", character)
    kept = "".join(part for part in plain if part.isascii())
    return kept or ("" if unicodedata.combining(character) else "?")
