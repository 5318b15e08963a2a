"""Sections of recipes: one within another, and names that are short for several values."""

from dataclasses import dataclass

import pytest

from keras_attn.training.recipe.section import RecipeError, Section, option


@dataclass(frozen=True, kw_only=True)
class Circle(Section):
    kind: str = option("circle", choices=("circle",))
    radius: float = option(2.0, above=0)

    @classmethod
    def expanded(cls, table):
        table = dict(table)
        return {"radius": 1.0, **table} if table.pop("unit", False) else table


@dataclass(frozen=True, kw_only=True)
class Disc(Circle):
    filled: bool = option(True)


@dataclass(frozen=True, kw_only=True)
class Drawing(Section):
    shape: Circle
    frame: Circle | None = None


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, Circle()),
        ({"radius": 5}, Circle(radius=5.0)),
        ({"unit": True}, Circle(radius=1.0)),
        ({"unit": True, "radius": 7.0}, Circle(radius=7.0)),
    ],
)
def test_a_section_within_a_section(table, expected):
    drawing = Drawing.from_dict({"shape": table, "frame": table})
    assert (drawing.shape, drawing.frame) == (expected, expected)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "cube"}, '`shape.kind` is no known choice. Expected one of "circle". Received: "cube"'),
        ({"side": 3}, "`shape.side` is unknown. Expected one of kind, radius"),
        (5, "`shape` must be a section"),
    ],
)
def test_a_wrong_section_within_a_section(table, message):
    with pytest.raises(RecipeError, match=message):
        Drawing.from_dict({"shape": table})


def test_what_a_field_holds_is_checked_however_it_is_made():
    with pytest.raises(RecipeError, match=r"Expected a Circle\. Received: None"):
        Drawing(shape=None)
    assert Drawing(shape=Disc(), frame=None).shape.filled
