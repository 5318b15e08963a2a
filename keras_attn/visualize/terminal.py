"""A heat map as a coloured table for the terminal."""

import math
import shutil
from collections.abc import Sequence

import numpy as np
from rich.cells import cell_len, chop_cells
from rich.table import Table
from rich.text import Text

from keras_attn.visualize.alignment import Alignment, captions, checked_weights, percent_text
from keras_attn.visualize.visible import visible

_RAMP = np.array([(13, 17, 60), (22, 90, 140), (40, 165, 130), (250, 225, 60)], dtype="float64")


def alignment_table(example: Alignment, width: int | None = None) -> Table:
    """The heat map of one example as a table for the terminal.

    Where the input is too long for one line of the terminal it is folded: the table shows the first input
    tokens with all output tokens, then below an empty line the next ones.

    Args:
        example: what to show.
        width: characters that a line may have; default is the width of the terminal. Pass `console.width` for
            a console of another width. Less than 10 is taken for 10.

    Returns:
        A table to print with `rich.console.Console.print`.

    Raises:
        ValueError: if the weights do not fit the tokens or are no attention weights.
    """
    weights = checked_weights(example)
    sources = [visible(str(token)) for token in example.source_tokens]
    targets = [visible(str(token)) for token in example.target_tokens]
    width = max(width or shutil.get_terminal_size().columns, 10)
    head = min(_common_width(targets, 1.0), max(2, min(width // 3, 16))) + 1
    cell = min(max(2, _common_width(sources, 0.8)) + 1, 8, width - head)
    fold = max(1, min(len(sources), (width - head) // cell))
    table = _empty_table(_title(example), [head, *[cell] * fold], width)
    for start in range(0, len(sources) or 1, fold):
        block = slice(start, start + fold)
        if start:
            table.add_row()
        table.add_row("", *(_folded(token, cell) for token in sources[block]))
        for target, row in zip(targets, weights, strict=True):
            table.add_row(_folded(target, head), *(_heat_cell(weight, cell) for weight in row[block]))
    return table


def _empty_table(title: Text, widths: list[int], width: int) -> Table:
    table = Table(box=None, show_header=False, padding=0, pad_edge=False, title=title, title_justify="left")
    table.title_style = ""
    table.add_column(width=widths[0])
    for cell in widths[1:]:
        table.add_column(width=cell, justify="right", vertical="bottom")
    # The title is wrapped at the table's width: an empty column at the end gives it room.
    room = min(width, title.cell_len) - sum(widths)
    if room > 0:
        table.add_column(width=room)
    return table


def _common_width(tokens: Sequence[str], share: float) -> int:
    """The width in which this share of the tokens fits on one line."""
    widths = sorted(map(cell_len, tokens)) or [1]
    return widths[math.ceil(share * len(widths)) - 1]


def _folded(token: str, width: int) -> Text:
    """The token on as many lines as it needs to leave one cell free: a wide column would cost every row."""
    return Text("\n".join(chop_cells(token, width - 1)), style="bold")


def _title(example: Alignment) -> Text:
    source, target, score = captions(example)
    source, target = visible(source, spaces=False), visible(target, spaces=False)
    return Text.assemble(source, (" → ", "dim"), (target, "bold"), (score and f"  score {score}", "dim"))


def _heat_cell(weight: float, width: int) -> Text:
    """A weight in percent on a colour from dark blue to yellow, the same on dark and light terminals."""
    colour = [int(np.interp(weight, np.linspace(0, 1, len(_RAMP)), channel)) for channel in _RAMP.T]
    ink = "rgb(0,0,0)" if weight > 0.55 else "rgb(255,255,255)"
    paper = "rgb({},{},{})".format(*colour)
    return Text(f"{percent_text(weight):>{width}}", style=f"{ink} on {paper}")
