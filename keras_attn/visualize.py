"""Pictures of attention: which input token each output token looked at.

A page of real HTML tables for the browser and a coloured table for the terminal. Both say every weight in
figures too (percent), so that neither depends on colour.
"""

import html
import math
import re
import shutil
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from rich.cells import cell_len, chop_cells
from rich.table import Table
from rich.text import Text


class Alignment(NamedTuple):
    """What one output attended to.

    Args:
        source_tokens: the S input tokens as text.
        target_tokens: the T output tokens as text.
        weights: array-like [T, S], attention weights between 0 and 1, a row an output token.
        source_text: the input as a whole; the tokens stand in where it is empty.
        target_text: the output as a whole; the same.
        score: what the search gave the output, or None.
    """

    source_tokens: Sequence[str]
    target_tokens: Sequence[str]
    weights: np.ndarray
    source_text: str = ""
    target_text: str = ""
    score: float | None = None


def alignment_html(examples: Iterable[Alignment], title: str = "Attention") -> str:
    """One self-contained HTML page with a heat map for each example.

    The page asks nothing of the network and runs no script. Rows are output tokens, columns input tokens; the
    numbers can be switched off, a cell's title has its weight to four places.

    Args:
        examples: what to show, in this order.
        title: the heading; plain text, as everything else here: markup in it is shown, not obeyed.

    Returns:
        The page. Write it as UTF-8.

    Raises:
        ValueError: if the weights of an example do not fit its tokens or are no attention weights.
    """
    figures = "\n".join(_figure(number, example) for number, example in enumerate(examples, start=1))
    return _PAGE.format(title=_escaped(title, spaces=False), style=_STYLE, figures=figures)


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
    weights = _checked_weights(example)
    sources = [_visible(token) for token in example.source_tokens]
    targets = [_visible(token) for token in example.target_tokens]
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


def _visible(text: str, spaces: bool = True) -> str:
    """Text in which nothing hides: what prints nothing is replaced by a sign; plain spaces too where asked.

    Nothing is left that a terminal or a browser would obey instead of show.
    """
    return "".join(_sign(character, text, spaces) for character in text)


_SIGNS = {" ": "␣", "\n": "⏎", "\t": "⇥", "\xa0": "⍽"}


def _sign(character: str, text: str, spaces: bool) -> str:
    category = unicodedata.category(character)
    if category == "Zs" and not spaces:
        return " "
    if character in _SIGNS:
        return _SIGNS[character]
    if character in "\u200c\u200d" and len(text) > 1:
        return character  # joiners shape the letters beside them
    if category[0] in "CZ":  # controls, invisible formats, halves of characters, unusual spaces
        return f"[U+{ord(character):04X}]"
    if category[0] == "M" and len(text) == 1:
        return "◌" + character  # a combining mark by itself would sit on whatever stands before it
    return character


def _checked_weights(example: Alignment) -> np.ndarray:
    """The weights as float64 [T, S] between 0 and 1."""
    expected = (len(example.target_tokens), len(example.source_tokens))
    weights = np.asarray(example.weights, dtype="float64")
    if weights.size == 0 and 0 in expected:
        return weights.reshape(expected)
    if weights.shape != expected:
        raise ValueError(
            f"`weights` do not fit the tokens. Expected shape [T, S] = {expected}, a row for each output "
            f"token. Received: {weights.shape}. Choose one head or average them, and cut off padding."
        )
    # The slack is what half precision loses when it divides.
    if not np.all((weights >= 0) & (weights <= 1.01)):
        raise ValueError(
            f"`weights` must be attention weights. Expected numbers from 0 to 1. Received: "
            f"{weights.min():.4g} to {weights.max():.4g}. Apply the softmax to logits first."
        )
    return weights.clip(0, 1)


def _percent(weight: float) -> str:
    percent = math.floor(weight * 100 + 0.5)
    return str(percent) if percent else "·"


def _texts(example: Alignment) -> tuple[str, str, str]:
    """Source, target and score as the caption shows them."""
    source = example.source_text or " ".join(example.source_tokens)
    target = example.target_text or " ".join(example.target_tokens)
    return source, target, "" if example.score is None else f"{example.score:.4f}"


def _title(example: Alignment) -> Text:
    source, target, score = _texts(example)
    source, target = _visible(source, spaces=False), _visible(target, spaces=False)
    return Text.assemble(source, (" → ", "dim"), (target, "bold"), (score and f"  score {score}", "dim"))


_RAMP = np.array([(13, 17, 60), (22, 90, 140), (40, 165, 130), (250, 225, 60)], dtype="float64")


def _heat_cell(weight: float, width: int) -> Text:
    """A weight in percent on a colour from dark blue to yellow, the same on dark and light terminals."""
    colour = [int(np.interp(weight, np.linspace(0, 1, len(_RAMP)), channel)) for channel in _RAMP.T]
    ink = "rgb(0,0,0)" if weight > 0.55 else "rgb(255,255,255)"
    paper = "rgb({},{},{})".format(*colour)
    return Text(f"{_percent(weight):>{width}}", style=f"{ink} on {paper}")


def _escaped(text: str, spaces: bool = True) -> str:
    return html.escape(_visible(text, spaces))


def _language(text: str) -> str:
    """A `lang` attribute, by which browsers choose between Chinese, Japanese and Korean shapes of a sign.

    A tag in front, `<ja> …`, says it; otherwise a script that only one language uses.
    """
    tag = re.match(r"<2?([a-z]{2}(?:[_-][A-Za-z]{2,4})*)>", text)
    if tag:
        return f' lang="{tag[1].replace("_", "-")}"'
    for lang, script in (("ko", r"[가-힣ㄱ-ㆎ]"), ("ja", r"[ぁ-ヿ]")):
        if re.search(script, text):
            return f' lang="{lang}"'
    return ""


def _figure(number: int, example: Alignment) -> str:
    weights = _checked_weights(example)
    source, target, score = _texts(example)
    source_lang, target_lang = _language(source), _language(target)
    sources = [_escaped(token) for token in example.source_tokens]
    targets = [_escaped(token) for token in example.target_tokens]
    return _FIGURE.format(
        number=number,
        source=f"<bdi{source_lang}>{_escaped(source, spaces=False)}</bdi>",
        target=f"<bdi{target_lang}>{_escaped(target, spaces=False)}</bdi>",
        score=f' <span class="score">score {score}</span>' if score else "",
        source_lang=source_lang,
        target_lang=target_lang,
        head="".join(map(_column_head, sources)),
        rows="\n".join(_row(token, sources, row) for token, row in zip(targets, weights, strict=True)),
    )


def _column_head(token: str) -> str:
    # Long tokens stand upright, so that a column stays as narrow as its numbers.
    long = ' class="long"' if cell_len(html.unescape(token)) > 3 else ""
    return f'<th scope="col"{long} dir="auto"><span>{token}</span></th>'


def _row(target: str, sources: list[str], weights: np.ndarray) -> str:
    cells = (_cell(f"{target} ← {token}", weight) for token, weight in zip(sources, weights, strict=True))
    return f'<tr><th scope="row" dir="auto">{target}</th>{"".join(cells)}</tr>'


def _cell(name: str, weight: float) -> str:
    strong = ' class="strong"' if weight > 0.65 else ""  # where the other ink reads better
    title = f"{name}: {weight:.4f}"
    return f'<td{strong} style="--w:{weight:.3f}" title="{title}"><span>{_percent(weight)}</span></td>'


_FIGURE = """\
<figure>
<figcaption id="example-{number}">{source} → <b>{target}</b>{score}</figcaption>
<div class="scroll" tabindex="0" role="region" aria-labelledby="example-{number}">
<table aria-labelledby="example-{number}">
<thead{source_lang}><tr><td></td>{head}</tr></thead>
<tbody{target_lang}>
{rows}
</tbody>
</table>
</div>
</figure>"""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
{style}
</style>
</head>
<body>
<h1>{title}</h1>
<p>Each row is an output token, each column an input token; a cell says how much the output token looked at
the input token, in percent.</p>
<input type="checkbox" id="numbers" checked> <label for="numbers">Show the numbers</label>
<main>
{figures}
</main>
</body>
</html>
"""

_STYLE = """\
:root {
  color-scheme: light dark;
  --paper: #fff; --ink: #1b1f24; --faint: #6b7280; --line: #d8dde3; --heat: 18 58 160; --on-heat: #fff;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14171b; --ink: #e6e9ed; --faint: #98a1ac; --line: #353b43; --heat: 122 178 255;
    --on-heat: #08131f;
  }
}
body {
  margin: 2rem; background: var(--paper); color: var(--ink); line-height: 1.5;
  font-family: system-ui, -apple-system, "Segoe UI", "Noto Sans", "DejaVu Sans", "Apple SD Gothic Neo",
    "Malgun Gothic", "Noto Sans CJK KR", "Noto Sans KR", NanumGothic, "Hiragino Sans", "Yu Gothic",
    "Noto Sans CJK JP", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif;
}
:lang(ja) { font-family: "Hiragino Sans", "Yu Gothic", Meiryo, "Noto Sans CJK JP", sans-serif; }
:lang(zh) { font-family: "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
h1 { font-size: 1.4rem; }
figure { margin: 1.5rem 0 2.5rem; }
figcaption { margin-bottom: .5rem; font-size: 1.1rem; overflow-wrap: anywhere; }
.score { color: var(--faint); font-size: .85rem; margin-left: .75rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-size: .95rem; font-variant-numeric: tabular-nums; }
th { font-weight: 600; padding: .15rem .3rem; white-space: nowrap; }
thead th { vertical-align: bottom; }
th.long span { writing-mode: vertical-rl; }
th[scope="row"] { text-align: right; position: sticky; left: 0; background: var(--paper); }
tbody td {
  min-width: 1.5rem; height: 1.6rem; padding: 0; border: 1px solid var(--line); text-align: center;
  font-size: .75rem; background: rgb(var(--heat) / var(--w));
}
td.strong { color: var(--on-heat); }
tbody tr:hover { outline: 2px solid var(--ink); }
tbody tr:hover th { text-decoration: underline; }
#numbers:not(:checked) ~ main td span { opacity: 0; }
#numbers:not(:checked) ~ main td:hover span { opacity: 1; }"""
