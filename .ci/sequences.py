"""Draws the guide's sequence diagrams: a file .svg beside each .txt.

With `--check`, nothing is written: it fails if a drawing is not that of its text.
"""

import pathlib
import sys
from html import escape

COLUMN, ROW, TOP, MARGIN = 190, 34, 62, 75


def draw(text):
    first, *steps = text.strip().splitlines()
    actors = [name.strip() for name in first.removeprefix("actors:").split("|")]
    at = {name: MARGIN + COLUMN * number for number, name in enumerate(actors)}
    width, height = MARGIN * 2 + COLUMN * (len(actors) - 1), TOP + ROW * len(steps) + 14
    spoken = []
    lines = [
        f'<line x1="{x}" y1="38" x2="{x}" y2="{height - 6}" stroke-dasharray="3 4" opacity=".5"/>'
        for x in at.values()
    ]
    texts = [f'<text x="{x}" y="26" font-weight="bold">{escape(name)}</text>' for name, x in at.items()]
    for number, step in enumerate(steps):
        kind, rest = step.split(maxsplit=1)
        parts = [part.strip() for part in rest.split("|")]
        y = TOP + ROW * number + 14
        if kind == "note":
            x, words = at[parts[0]], parts[1]
            half = len(words) * 3.4 + 8
            x = min(max(x, half + 2), width - half - 2)
            lines.append(
                f'<rect x="{x - half:g}" y="{y - 17}" width="{half * 2:g}" height="22" rx="4"'
                ' stroke-opacity=".5" style="fill:var(--main-background-color,#fff)"/>'
            )
            texts.append(f'<text x="{x:g}" y="{y - 2}">{escape(words)}</text>')
            spoken.append(f"{parts[0]}: {words}")
            continue
        start, end, words = at[parts[0]], at[parts[1]], parts[2]
        inward = -1 if end > start else 1
        dash = ' stroke-dasharray="6 4"' if kind == "x>" else ""
        lines.append(f'<line x1="{start}" y1="{y}" x2="{end + inward * 2}" y2="{y}"{dash}/>')
        tip = end + inward * 9
        if kind == "x>":
            lines.append(f'<path d="M{tip - 5} {y - 5}l10 10m0 -10l-10 10"/>')
        else:
            lines.append(
                f'<path d="M{end + inward} {y}L{tip} {y - 4}V{y + 4}z" fill="currentColor"/>'
            )
        texts.append(f'<text x="{(start + end) / 2:g}" y="{y - 6}">{escape(words)}</text>')
        spoken.append(f"{parts[0]} to {parts[1]}: {words}")
    label = escape("; ".join(spoken), quote=True)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}"'
            f' viewBox="0 0 {width} {height}" style="max-width:{width}px;width:100%"'
            ' font-family="sans-serif" font-size="12">',
            '<g stroke="currentColor" fill="none">',
            *lines,
            "</g>",
            '<g fill="currentColor" text-anchor="middle">',
            *texts,
            "</g>",
            "</svg>",
            "",
        ]
    )


wrong = []
for file in sorted(pathlib.Path("src/guide/sequences").glob("*.txt")):
    drawing, svg = file.with_suffix(".svg"), draw(file.read_text())
    if "--check" not in sys.argv:
        drawing.write_text(svg)
    elif not drawing.exists() or drawing.read_text() != svg:
        wrong.append(f"{drawing} is not that of {file}: run python3 {__file__}")
print("\n".join(wrong) or "the sequence diagrams are those of their texts")
sys.exit(bool(wrong))
