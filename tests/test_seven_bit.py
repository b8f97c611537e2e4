"""Text for terminals without Unicode."""

from __future__ import annotations

from tuitrain.seven_bit import seven_bit

BRAILLE = "".join(map(chr, range(0x2800, 0x2900)))


def test_every_character_of_the_screens_is_replaced_by_one_of_ascii() -> None:
    drawn = BRAILLE + "╭─╮│╰╯╌┊●▲■◆▼✚★×✓✗▴▵▁▂▃▄▅▆▇█▌▏░▒▓←→↑↓…·"
    assert seven_bit(drawn).isascii()
    assert len(seven_bit(drawn)) == len(drawn)
    assert seven_bit("Käse ●") == "Käse o"
    assert seven_bit(BRAILLE[0]) == " "
