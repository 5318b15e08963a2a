"""Sections of recipes: one of several kinds, and names that stand for several values."""

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
class Square(Section):
    kind: str = option("square", choices=("square",))
    side: int = option(3, minimum=1)


@dataclass(frozen=True, kw_only=True)
class Drawing(Section):
    shape: Circle | Square
    frame: Square | None = None


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ({}, Circle()),
        ({"radius": 5}, Circle(radius=5.0)),
        ({"kind": "square", "side": 7}, Square(side=7)),
        ({"unit": True}, Circle(radius=1.0)),
        ({"unit": True, "radius": 7.0}, Circle(radius=7.0)),
    ],
)
def test_a_section_of_its_kind(table, expected):
    assert Drawing.from_dict({"shape": table}).shape == expected


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (
            {"kind": "cube"},
            '`shape.kind` is no known choice. Expected one of "circle", "square". Received: "cube"',
        ),
        ({"kind": ["square"]}, r"`shape.kind` is no known choice.* Received: \['square'\]"),
        ({"kind": "square", "radius": 2.0}, "`shape.radius` is unknown. Expected one of kind, side"),
        ({"side": 3}, "`shape.side` is unknown"),
        (5, "`shape` must be a section"),
    ],
)
def test_a_section_of_no_kind(table, message):
    with pytest.raises(RecipeError, match=message):
        Drawing.from_dict({"shape": table})


def test_what_a_field_holds_is_checked_however_it_is_made():
    with pytest.raises(RecipeError, match=r"Expected a Circle or a Square\. Received: None"):
        Drawing(shape=None)
    assert Drawing(shape=Square(), frame=None).frame is None
