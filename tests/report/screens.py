"""A picture of a screen (SVG) -> the text on it, and the comparison with the picture that is kept."""

from __future__ import annotations

import html
import os
import re
from pathlib import Path

SNAPSHOTS = Path(__file__).parent / "snapshots"
UPDATE = "ADVISOR_UPDATE_SNAPSHOTS"  # set it to write the pictures anew
CELL = 12.2, 24.4  # width and height of a character in Rich's export_svg
TEXT = re.compile(r'<text class="advisor-r\d+" x="([\d.]+)" y="([\d.]+)"[^>]*>([^<]*)</text>')


def screen(svg: str) -> list[str]:
    """The lines of the screen."""
    rows: dict[int, str] = {}
    for x, y, text in TEXT.findall(svg):
        row, column = int(float(y) // CELL[1]), round(float(x) / CELL[0])
        line = rows.get(row, "")
        rows[row] = line.ljust(column)[:column] + html.unescape(text).replace("\xa0", " ")
    return [rows.get(row, "").rstrip() for row in range(max(rows) + 1)]


def check_snapshot(name: str, svg: str, folder: Path) -> None:
    """Fail where the picture differs from tests/report/snapshots/<name>.svg; `folder` takes the new one."""
    kept = SNAPSHOTS / f"{name}.svg"
    if os.environ.get(UPDATE):
        kept.write_text(svg, encoding="utf-8")
    expected = kept.read_text(encoding="utf-8") if kept.exists() else ""
    if svg == expected:
        return
    new = folder / f"{name}.svg"
    new.write_text(svg, encoding="utf-8")
    lines = zip(screen(expected) if expected else [], screen(svg), strict=False)
    first = next((f"\n  kept {old!r}\n  new  {now!r}" for old, now in lines if old != now), " in its colours only")
    raise AssertionError(f"{name} differs from {kept}{first}\nlook at {new}; if it is right, run with {UPDATE}=1")
