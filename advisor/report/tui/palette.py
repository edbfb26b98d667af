"""Colours of the screens: one quiet theme, the curves' colours, and the scale of the heat map."""

from __future__ import annotations

from rich.terminal_theme import TerminalTheme
from textual.theme import Theme

# Okabe and Ito, "Color Universal Design" (2008): told apart also by readers who are colour-blind.
TRAIN = "#56b4e9"
CLEAN_TRAIN = "#009e73"
VALIDATION = "#e69f00"
BASELINE = "#808893"

FOREGROUND = "#d3d8de"
GREEN, YELLOW, RED = "#57b894", "#e0b04b", "#e2737b"

THEME = Theme(
    name="advisor",
    primary=TRAIN,
    secondary="#6b7480",
    accent=VALIDATION,
    foreground=FOREGROUND,
    background="#14181d",
    surface="#14181d",
    panel="#1c2229",
    success=GREEN,
    warning=YELLOW,
    error=RED,
    dark=True,
    variables={
        "block-cursor-background": "#26323d",
        "block-cursor-foreground": "#ffffff",
        "block-cursor-blurred-background": "#1f2830",
        "footer-key-foreground": VALIDATION,
        "border": "#2b333c",
    },
)

# What "red", "green" and so on mean on these screens: the text reports use a terminal's own colours.
ANSI = TerminalTheme(
    background=(20, 24, 29),
    foreground=(211, 216, 222),
    normal=[
        (20, 24, 29),
        (226, 115, 123),
        (87, 184, 148),
        (224, 176, 75),
        (86, 180, 233),
        (198, 146, 210),
        (110, 195, 214),
        (211, 216, 222),
    ],
)

# matplotlib's viridis at 0, 1/4, 1/2, 3/4 and 1: even in lightness, so that a difference looks as large as it is.
VIRIDIS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def viridis(share: float) -> str:
    """A colour for a share in [0, 1] of the scale.

    >>> viridis(0.0), viridis(0.5), viridis(2.0)
    ('#440154', '#21918c', '#fde725')
    """
    place = min(max(share, 0.0), 1.0) * (len(VIRIDIS) - 1)
    left = min(int(place), len(VIRIDIS) - 2)
    mixed = (round(a + (place - left) * (b - a)) for a, b in zip(VIRIDIS[left], VIRIDIS[left + 1], strict=True))
    return "#" + "".join(f"{channel:02x}" for channel in mixed)
