"""Heat maps as one HTML page."""

import html
import re
from collections.abc import Iterable

import numpy as np
from rich.cells import cell_len

from keras_attn.visualize.alignment import Alignment, captions, checked_weights, percent_text
from keras_attn.visualize.style import STYLE
from keras_attn.visualize.visible import visible


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
        TypeError: for a lone `Alignment`.
        ValueError: if the weights of an example do not fit its tokens or are no attention weights.
    """
    if isinstance(examples, Alignment):
        raise TypeError("`examples` must be a list. Received: a lone Alignment. Write [example].")
    figures = "\n".join(_figure(number, example) for number, example in enumerate(examples, start=1))
    return _PAGE.format(title=_escaped(title, spaces=False), style=STYLE, figures=figures)


def _escaped(text: str, spaces: bool = True) -> str:
    return html.escape(visible(text, spaces))


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
    weights = checked_weights(example)
    source, target, score = captions(example)
    source_lang, target_lang = _language(source), _language(target)
    sources = [_escaped(str(token)) for token in example.source_tokens]
    targets = [_escaped(str(token)) for token in example.target_tokens]
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
    return f'<td{strong} style="--w:{weight:.3f}" title="{title}"><span>{percent_text(weight)}</span></td>'


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
