"""Alignment pictures: everything is said in text, nothing is obeyed, nothing is wider than the terminal."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from rich.cells import cell_len
from rich.console import Console

from keras_attn.visualize import Alignment, alignment_html, alignment_table


class Page(HTMLParser):
    """Collects tags with their attributes, and the text of each cell."""

    VOID = frozenset({"meta", "input"})

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.open, self.cells = [], [], {"th": [], "td": []}
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.VOID:
            self.open.append(tag)
        if tag in self.cells:
            self.cells[tag].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        for tag in self.cells:
            if tag in self.open:
                self.cells[tag][-1] += data


def example(sources, targets, **texts) -> Alignment:
    weights = np.random.default_rng(11).dirichlet(np.full(len(sources), 0.3), len(targets))
    return Alignment(sources, targets, weights, **texts)


KOREAN = "<ko> 2024년 3월 15일 금요일"
DATE = example(list(KOREAN), list("2024-03-15"), source_text=KOREAN, target_text="2024-03-15", score=-0.25)
SMALL = Alignment(["▁가", " ", "c"], ["x", "y"], [[0.004, 0.996, 0], [0.25, 0.125, 0.625]])


def printed(picture: Alignment, width: int) -> list[str]:
    console = Console(width=width, color_system=None, legacy_windows=False)
    with console.capture() as capture:
        console.print(alignment_table(picture, width=width))
    return capture.get().rstrip("\n").split("\n")


def test_page_is_well_formed_and_has_a_table_for_each_example():
    page = Page(alignment_html([DATE, SMALL]))
    tags = [tag for tag, _ in page.tags]
    assert page.open == []
    assert tags.count("table") == tags.count("figcaption") == 2
    assert tags.count("td") == len(DATE.weights) * len(KOREAN) + 2 * 3 + 2  # and two corners
    assert ("meta", {"charset": "utf-8"}) in page.tags


def test_cells_say_their_weight_in_figures():
    page = Page(alignment_html([SMALL]))
    assert page.cells["td"] == ["", "·", "100", "·", "25", "13", "63"]
    assert page.cells["th"] == ["▁가", "␣", "c", "x", "y"]
    titles = [attributes["title"] for tag, attributes in page.tags if "title" in attributes]
    assert titles[:2] == ["x ← ▁가: 0.0040", "x ← ␣: 0.9960"]
    scopes = [attributes["scope"] for tag, attributes in page.tags if tag == "th"]
    assert scopes == ["col"] * 3 + ["row"] * 2


def test_page_asks_nothing_of_the_network_and_runs_nothing():
    page = alignment_html([DATE])
    assert not re.search(r"https?:|//|url\(|@import|<script|<link|<img|\bsrc=|\bon\w+=", page)


def test_everything_is_escaped():
    hostile = '"><script>alert(1)</script>&amp;\x00'
    page = alignment_html([example([hostile], [hostile], source_text=hostile, target_text=hostile)], hostile)
    assert "<script" not in page
    assert "\x00" not in page
    assert page.count("&quot;&gt;&lt;script&gt;alert(1)&lt;/script&gt;&amp;amp;[U+0000]") == 8
    assert "{style}" in alignment_html([], "{style}")


def test_caption_has_texts_and_score():
    page = alignment_html([DATE])
    assert '<bdi lang="ko">&lt;ko&gt; 2024년 3월 15일 금요일</bdi> → <b><bdi>2024-03-15</bdi></b>' in page
    assert "score -0.2500" in page
    assert '<bdi lang="ko">▁가   c</bdi> → <b><bdi>x y</bdi></b></figcaption>' in alignment_html([SMALL])


@pytest.mark.parametrize(
    ("text", "lang"),
    [
        ("<ja> 3月15日", "ja"),
        ("<en_US> 3/15/24", "en-US"),
        ("<2ko> 3/15", "ko"),
        ("ひと", "ja"),
        ("안녕", "ko"),
    ],
)
def test_language_of_the_source_is_marked(text, lang):
    assert f'<bdi lang="{lang}">' in alignment_html([example([text], ["x"], source_text=text)])


@pytest.mark.parametrize(
    ("token", "shown"),
    [
        (" ", "␣"),
        ("▁the", "▁the"),
        ("a\tb\n", "a⇥b⏎"),
        ("\xa0", "⍽"),
        ("\u3000", "[U+3000]"),
        ("\x1b[31m", "[U+001B][31m"),
        ("\u202e", "[U+202E]"),
        ("\ud800", "[U+D800]"),
        ("\u0301", "◌\u0301"),
        ("e\u0301", "e\u0301"),
        ("\u200d", "[U+200D]"),
        ("نی\u200cش", "نی\u200cش"),
    ],
)
def test_nothing_hides_in_a_token(token, shown):
    assert Page(alignment_html([example(["s"], [token])])).cells["th"] == ["s", shown]


def test_terminal_table_as_it_prints():
    picture = Alignment(["안", "녕", " "], ["H", "i"], [[1, 0, 0], [0.25, 0.75, 0]], "안녕", "Hi", -1)
    assert [line.rstrip() for line in printed(picture, 47)] == [
        "안녕 → Hi  score -1.0000",
        "   안 녕  ␣",
        "H 100  ·  ·",
        "i  25 75  ·",
    ]


def test_long_sources_are_folded():
    lines = printed(DATE, 37)
    columns = (37 - 2) // 3
    blocks = -(-len(KOREAN) // columns)
    assert sum(line.startswith("4 ") for line in lines) == blocks
    assert sum(not line.strip() for line in lines) == blocks - 1


SUBWORDS = example(["▁Donaudampf", "schifffahrt", "▁의심의여지없이", ".", "\x1b"], ["▁여지없는", "a" * 29])


@pytest.mark.parametrize("width", [10, 11, 13, 17, 23, 41, 79, 113])
@pytest.mark.parametrize("picture", [DATE, SMALL, SUBWORDS])
def test_no_line_is_wider_than_the_terminal_and_nothing_is_lost(picture, width):
    lines = printed(picture, width)
    assert max(map(cell_len, lines)) <= width
    assert "…" not in "".join(lines)
    assert "\x1b" not in "".join(lines)
    dots = sum(line.count("·") for line in lines)
    assert dots == np.sum(np.asarray(picture.weights) < 0.005)


def test_terminal_colours_fill_the_cells():
    console = Console(width=47, force_terminal=True, color_system="truecolor", legacy_windows=False)
    with console.capture() as capture:
        console.print(alignment_table(Alignment(["a", "b"], ["x"], [[0, 1]]), width=47))
    assert "\x1b[38;2;255;255;255;48;2;13;17;60m  ·\x1b[0m" in capture.get()
    assert "\x1b[38;2;0;0;0;48;2;250;225;60m100\x1b[0m" in capture.get()


def test_markup_in_tokens_is_shown():
    assert "[bold]" in "\n".join(printed(example(["[bold]"], ["[/]"], source_text="[bold]"), 47))


def test_width_is_the_terminals_by_default(monkeypatch):
    monkeypatch.setenv("COLUMNS", "37")
    assert len(alignment_table(DATE).columns) == len(alignment_table(DATE, width=37).columns)


@pytest.mark.parametrize("picture", [Alignment(["a"], [], []), Alignment([], ["a"], np.zeros((1, 0)))])
def test_an_empty_side_is_no_error(picture):
    assert "<table" in alignment_html([picture])
    assert printed(picture, 13)


@pytest.mark.parametrize("draw", [alignment_table, lambda picture: alignment_html([picture])])
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((3, 2)), r"do not fit the tokens. Expected shape \[T, S\] = \(2, 3\).* Received: \(3, 2\)"),
        (np.ones((5, 2, 3)), r"Received: \(5, 2, 3\). Choose one head or average them"),
        ([], r"Received: \(0,\)"),
        (np.full((2, 3), -1.5), "Expected numbers from 0 to 1. Received: -1.5 to -1.5. Apply the softmax"),
        (np.full((2, 3), np.nan), "must be attention weights.* Received: nan to nan"),
    ],
)
def test_wrong_weights(draw, weights, message):
    with pytest.raises(ValueError, match=message):
        draw(Alignment(["a", "b", "c"], ["x", "y"], weights))


def test_a_lone_example_is_no_list():
    with pytest.raises(TypeError, match=r"`examples` must be a list. .* Write \[example\]"):
        alignment_html(Alignment(["a"], ["b"], [[1.0]]))


@pytest.mark.parametrize("draw", [lambda x: alignment_html([x]), lambda x: "".join(printed(x, 80))])
def test_ids_are_shown_as_tokens(draw):
    page = draw(Alignment(np.array([17, 4]), [23], [[0.25, 0.75]]))
    assert all(text in page for text in ("17", "23", "75"))
