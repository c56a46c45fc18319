"""How the app looks: its colours, and whether anything moves.

Three themes of our own with measured contrast (a test holds them to WCAG 2: 4.5 to 1 for text, 7 to 1 in `contrast`),
and three that use nothing but the terminal's own 16 colours, for terminals that have no more and for NO_COLOR, where
weight and underlining tell apart what colour would. Limits: what `auto` takes for a light terminal is
what COLORFGBG says; many terminals say nothing, and are taken for dark.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from textual.theme import Theme

_CURSOR = {"block-cursor-text-style": "bold", "block-cursor-blurred-text-style": "underline"}

DARK = Theme(
    "localrag-dark", primary="#7fb4ff", secondary="#9ccfa0", accent="#ffc66d", warning="#ffc66d", error="#ff9b9b",
    success="#8fd694", foreground="#e8e8e8", background="#14171c", surface="#1f242c", panel="#2a313c",
    variables={
        **_CURSOR, "text-muted": "#b4bcc8", "text-disabled": "#9aa3b0", "primary-muted": "#1d3a63",
        "block-cursor-foreground": "#0b1220", "block-cursor-background": "#7fb4ff",
        "block-cursor-blurred-foreground": "#e8e8e8", "block-cursor-blurred-background": "#2a313c",
        "input-selection-background": "#2f5d9e", "input-cursor-background": "#e8e8e8",
        "input-cursor-foreground": "#14171c", "border-blurred": "#5b6675",
    },
)  # fmt: skip
LIGHT = Theme(
    "localrag-light", primary="#0b4f9e", secondary="#2c5f2d", accent="#7a4200", warning="#7a4200", error="#a00619",
    success="#1e6b2e", foreground="#1b1b1b", background="#fbfbf8", surface="#eeeeea", panel="#e2e2dc", dark=False,
    variables={
        **_CURSOR, "text-muted": "#474747", "text-disabled": "#5a5a5a", "primary-muted": "#cfe0f5",
        "block-cursor-foreground": "#ffffff", "block-cursor-background": "#0b4f9e",
        "block-cursor-blurred-foreground": "#1b1b1b", "block-cursor-blurred-background": "#d8d8d2",
        "input-selection-background": "#b8d4f5", "input-cursor-background": "#1b1b1b",
        "input-cursor-foreground": "#fbfbf8", "border-blurred": "#8a8a84",
    },
)  # fmt: skip
CONTRAST = Theme(
    "localrag-contrast", primary="#ffff00", secondary="#00ffff", accent="#ffff00", warning="#ffff00", error="#ffb3b3",
    success="#80ff80", foreground="#ffffff", background="#000000", surface="#000000", panel="#1a1a1a",
    variables={
        **_CURSOR, "text-muted": "#ffffff", "text-disabled": "#d0d0d0", "primary-muted": "#00366b",
        "block-cursor-foreground": "#000000", "block-cursor-background": "#ffff00",
        "block-cursor-blurred-foreground": "#ffffff", "block-cursor-blurred-background": "#00366b",
        "input-selection-background": "#00569e", "input-cursor-background": "#ffffff",
        "input-cursor-foreground": "#000000", "border-blurred": "#ffffff",
    },
)  # fmt: skip

# Dim text of 16 colours is often no text at all, so nothing is dimmed. The cursor is bold and underlined besides its
# colour, which NO_COLOR takes away (Textual draws no reverse video in lists).
_PLAIN = {
    "text-muted": "ansi_default", "text-disabled": "ansi_default", "primary-muted": "transparent",
    "block-cursor-text-style": "bold underline", "block-cursor-blurred-text-style": "underline",
    "block-cursor-blurred-foreground": "ansi_default", "block-cursor-blurred-background": "ansi_default",
    "scrollbar-background": "ansi_default", "scrollbar-background-hover": "ansi_default",
    "scrollbar-background-active": "ansi_default", "ansi-background": "ansi_default",
    "ansi-foreground": "ansi_default",
}  # fmt: skip


def _of_16(name: str, border: str, warning: str, cursor: tuple[str, str], dark: bool = True) -> Theme:
    return Theme(
        name, ansi=True, dark=dark, primary=border, secondary=border, accent=border, warning=warning, error="ansi_red",
        success="ansi_green", foreground="ansi_default", background="ansi_default", surface="ansi_default",
        panel="ansi_default", boost="ansi_default",
        variables={
            **_PLAIN, "border": border, "border-blurred": "ansi_default", "scrollbar": border,
            "scrollbar-hover": border, "scrollbar-active": border, "block-cursor-foreground": cursor[0],
            "block-cursor-background": cursor[1],
        },
    )  # fmt: skip


DARK_16 = _of_16("localrag-dark-16", "ansi_cyan", "ansi_yellow", ("ansi_black", "ansi_cyan"))
LIGHT_16 = _of_16("localrag-light-16", "ansi_blue", "ansi_magenta", ("ansi_bright_white", "ansi_blue"), dark=False)
CONTRAST_16 = _of_16("localrag-contrast-16", "ansi_default", "ansi_default", ("ansi_black", "ansi_bright_white"))
THEMES = (DARK, LIGHT, CONTRAST, DARK_16, LIGHT_16, CONTRAST_16)


@dataclass(frozen=True, slots=True)
class Look:
    """What a terminal can show: `few` says that it has 16 colours at most, `light` that its own ground is light."""

    few: bool = False
    light: bool = False
    no_color: bool = False
    remote: bool = False

    def theme(self, wanted: str) -> str:
        """The name of the theme for the setting `theme`."""
        shade = ("light" if self.light else "dark") if wanted == "auto" else wanted
        return f"localrag-{shade}-16" if self.few or self.no_color else f"localrag-{shade}"

    def moves(self, wanted: str) -> bool:
        """Whether anything is animated, by the setting `animations`: over SSH each picture of it is sent and late."""
        return wanted == "on" or (wanted == "auto" and not self.remote)


ORDINARY = Look()


def look_of(environ: Mapping[str, str]) -> Look:
    """What the variables of a terminal say of it."""
    term = environ.get("TERM", "")
    many = environ.get("COLORTERM", "").lower() in ("truecolor", "24bit") or term.endswith(
        ("256color", "-direct", "kitty")
    )
    ground = environ.get("COLORFGBG", "").rpartition(";")[2]
    return Look(
        few=not many,
        light=ground.isdecimal() and int(ground) in (7, *range(9, 16)),
        no_color="NO_COLOR" in environ and environ["NO_COLOR"] != "",
        remote=any(name in environ for name in ("SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT")),
    )
