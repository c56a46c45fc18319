"""Characters of the Symbol and Wingdings fonts, whose bytes are no letters of any alphabet.

Word, PowerPoint and RTF keep them as bytes or as private code points (U+F000 and what follows). Only what offices
write is told: Greek, operators, bullets, arrows and check marks. The rest becomes nothing, rather than a wrong letter.
"""

from __future__ import annotations

_GREEK = "ΑΒΧΔΕΦΓΗΙϑΚΛΜΝΟΠΘΡΣΤΥςΩΞΨΖ"
_SYMBOL: dict[int, str] = {code: chr(code) for code in range(0x20, 0x40)}
_SYMBOL |= {0x41 + index: letter for index, letter in enumerate(_GREEK)}
_SYMBOL |= {0x61 + index: letter for index, letter in enumerate("αβχδεφγηιϕκλμνοπθρστυϖωξψζ")}
_SYMBOL |= {
    0x22: "∀", 0x24: "∃", 0x2D: "−", 0x40: "≅", 0x5B: "[", 0x5D: "]", 0x5E: "⊥", 0x5F: "_", 0x7B: "{", 0x7C: "|",
    0x7D: "}", 0x7E: "∼", 0xA0: "€", 0xA3: "≤", 0xA5: "∞", 0xAB: "↔", 0xAC: "←", 0xAD: "↑", 0xAE: "→", 0xAF: "↓",
    0xB0: "°", 0xB1: "±", 0xB3: "≥", 0xB4: "×", 0xB6: "∂", 0xB7: "•", 0xB8: "÷", 0xB9: "≠", 0xBA: "≡", 0xBB: "≈",
    0xBC: "…", 0xC5: "⊕", 0xC7: "∩", 0xC8: "∪", 0xCE: "∈", 0xD2: "®", 0xD3: "©", 0xD4: "™", 0xD5: "∏", 0xD6: "√",
    0xD7: "⋅", 0xDB: "⇔", 0xDE: "⇒", 0xE5: "∑", 0xF2: "∫",
}  # fmt: skip
_WINGDINGS: dict[int, str] = {
    0x20: " ", 0x28: "☎", 0x2A: "✉", 0x6C: "●", 0x6E: "■", 0x6F: "☐", 0x71: "❑", 0x76: "❖", 0x77: "◆", 0x9F: "•",
    0xA7: "▪", 0xA8: "☐", 0xD8: "➢", 0xE0: "→", 0xE8: "➔", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒", 0xFE: "☑",
}  # fmt: skip


def symbol(code: int, font: str) -> str:
    """The character that `font` shows for a byte or its private code point; empty where it is not known."""
    return (_WINGDINGS if "dings" in font.lower() else _SYMBOL).get(code & 0xFF, "")
