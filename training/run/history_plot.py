"""The history of a training as a picture."""

import math
from html import escape

from keras_attn.training.run.best_epoch import History

LEFT, TOP, WIDTH, HEIGHT, GAP = 64, 40, 320, 200, 96
# A reader may have a light or a dark page; the first line is dashed, so that colour is not needed.
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #24292f; }
  .grid { stroke: #8c959f; stroke-opacity: .25; }
  .line { fill: none; stroke-width: 2; } .dot { stroke: none; }
  .a { stroke: #bc4c00; stroke-dasharray: 6 4; } .b { stroke: #0969da; fill: none; }
  circle.b { fill: #0969da; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; } .a { stroke: #f0883e; } .b { stroke: #58a6ff; } circle.b { fill: #58a6ff; }
  }
"""


def history_picture(history: History, monitor: str = "val_loss") -> str:
    """An SVG of the losses by epoch and, beside them, of what decides which epoch is the best.

    Args:
        history: one dictionary an epoch, with `epoch`, `loss` and `val_loss`. A line leaves out
            what is no finite number.
        monitor: a further value that gets a panel of its own where it is not `"val_loss"`.

    Returns:
        The text of an SVG file.
    """
    panels = [["loss", "val_loss"]] + ([[monitor]] if monitor != "val_loss" else [])
    parts = []
    for index, names in enumerate(panels):
        parts += _panel(history, names, LEFT + index * (WIDTH + GAP))
    width = LEFT + len(panels) * (WIDTH + GAP) - GAP + 24
    lines = "\n  ".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {TOP + HEIGHT + 72}" role="img">\n'
        f"<title>Training by epoch</title>\n<style>{STYLE}</style>\n  {lines}\n</svg>\n"
    )


def _panel(history, names, left):
    lines = {name: _finite(history, name) for name in names}
    values = [value for points in lines.values() for _, value in points]
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    high = high if high > low else low + 1.0
    last = max((entry["epoch"] for entry in history), default=1)

    def place(epoch, value):
        x = left + WIDTH * (epoch - 1) / max(last - 1, 1)
        return f"{x:.1f},{TOP + HEIGHT * (high - value) / (high - low):.1f}"

    parts = _axes(left, low, high, last)
    for index, (name, points) in enumerate(lines.items()):
        kind = "b" if index == len(lines) - 1 else "a"
        places = [place(*point) for point in points]
        parts.append(f'<polyline class="line {kind}" points="{" ".join(places)}"/>')
        parts += [_dot(at, kind) for at in places[:1] if len(places) == 1]
        parts += _legend(left + 130 * index, name, kind)
    return parts


def _finite(history, name):
    return [(entry["epoch"], entry[name]) for entry in history if math.isfinite(entry.get(name, math.nan))]


def _axes(left, low, high, last):
    parts = []
    for quarter in range(5):
        height, value = TOP + HEIGHT * quarter / 4, high - (high - low) * quarter / 4
        parts.append(f'<path class="grid" d="M{left} {height:.1f}h{WIDTH}"/>')
        parts.append(f'<text x="{left - 8}" y="{height + 4:.1f}" text-anchor="end">{value:.4g}</text>')
    parts.append(f'<text x="{left}" y="{TOP + HEIGHT + 20}">1</text>')
    end = left + WIDTH
    parts.append(f'<text x="{end}" y="{TOP + HEIGHT + 20}" text-anchor="end">epoch {last}</text>')
    return parts


def _dot(at, kind):
    x, y = at.split(",")
    return f'<circle class="{kind}" cx="{x}" cy="{y}" r="3"/>'


def _legend(left, name, kind):
    y = TOP + HEIGHT + 48
    return [
        f'<path class="line {kind}" d="M{left} {y}h28"/>',
        f'<text x="{left + 36}" y="{y + 4}">{escape(name)}</text>',
    ]
