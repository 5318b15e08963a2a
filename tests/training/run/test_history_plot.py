"""The picture of a history: valid SVG, every line and no more."""

from math import nan
from xml.etree import ElementTree

from keras_attn.training.run.history_plot import history_picture

HISTORY = [
    {"epoch": 1, "loss": 5.0, "val_loss": 4.0, "val_bleu": 1.0},
    {"epoch": 2, "loss": 3.0, "val_loss": nan},
    {"epoch": 3, "loss": 1.0, "val_loss": 2.0, "val_bleu": 3.0},
]


def parse(text):
    root = ElementTree.fromstring(text)
    name = "{http://www.w3.org/2000/svg}"
    lines = [line.get("points").split() for line in root.iter(f"{name}polyline")]
    return lines, [text.text for text in root.iter(f"{name}text")], list(root.iter(f"{name}circle"))


def test_losses():
    lines, texts, _ = parse(history_picture(HISTORY))
    assert [len(points) for points in lines] == [3, 2]  # what is no number is left out
    assert {"loss", "val_loss", "epoch 3", "5", "1"} <= set(texts)
    ends = [tuple(map(float, line[place].split(","))) for line in lines for place in (0, -1)]
    assert ends[0][1] < ends[1][1]  # falling is downwards
    assert ends[0][0] == ends[2][0]


def test_the_monitor_has_its_own_panel():
    lines, texts, _ = parse(history_picture(HISTORY, "val_bleu"))
    assert [len(points) for points in lines] == [3, 2, 2]
    assert "val_bleu" in texts
    assert float(lines[2][0].split(",")[0]) > float(lines[0][-1].split(",")[0])


def test_one_epoch_is_a_dot():
    lines, texts, dots = parse(history_picture(HISTORY[:1]))
    assert [len(points) for points in lines] == [1, 1]
    assert len(dots) == 2
    assert "epoch 1" in texts


def test_nothing_finite():
    lines, _, _ = parse(history_picture([{"epoch": 1, "loss": nan, "val_loss": nan}]))
    assert lines == [[], []]
