"""Families by name: arguments read from source are those of the class, and what registration refuses."""

import pytest

from keras_attn.families.arguments import REQUIRED, arguments_of_class
from keras_attn.families.registry import family_arguments, family_class, register_family
from keras_attn.models import RecurrentSeq2Seq, TransformerSeq2Seq

from ..model_rows import SIZES


@pytest.mark.parametrize("kind", SIZES)
def test_arguments_read_from_source_are_those_of_the_class(kind):
    for read, own in zip(family_arguments(kind), arguments_of_class(family_class(kind)), strict=True):
        known = {"builtins", "collections.abc"}
        types = [have if have.__module__ in known else object for have in own.types]
        assert read == own._replace(types=tuple(types))


def test_arguments_are_read_without_keras(run_python):
    script = (
        "import sys; from keras_attn.families.registry import family_arguments, family_kinds;"
        "print(all(map(family_arguments, family_kinds())), 'keras' in sys.modules)"
    )
    assert run_python(script).strip() == "True False"


def test_a_name_of_another_class_is_taken():
    with pytest.raises(ValueError, match=r"'transformer' is registered already, as .*TransformerSeq2Seq"):
        register_family("transformer")(RecurrentSeq2Seq)
    assert family_class("transformer") is TransformerSeq2Seq


def test_positional_arguments_are_vocabularies():
    class Sized(TransformerSeq2Seq):
        def __init__(self, vocabulary_size, units=7):
            """Takes more than a vocabulary by its place."""

    with pytest.raises(ValueError, match=r"`Sized` must take .* Received: \('vocabulary_size', 'units'\)"):
        register_family("sized")(Sized)


def test_arguments_without_annotation_or_default():
    def constructor(self, size, *, units, rate=0.5):
        """As a class of models has it."""

    _, units, rate = arguments_of_class(type("Bare", (), {"__init__": constructor}))
    assert (units.default, units.types, units.positional) == (REQUIRED, (), False)
    assert (rate.default, rate.types, rate.positional) == (0.5, (), False)
