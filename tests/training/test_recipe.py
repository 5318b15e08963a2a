"""Recipes: defaults, files, overrides, round trips, and what a wrong recipe is told."""

import dataclasses
import doctest
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.training import recipe as recipe_module
from keras_attn.training.recipe import (
    Data,
    Decoding,
    Evaluation,
    Model,
    PairsSpec,
    Recipe,
    RecipeError,
    Tokenizer,
    Training,
    differences,
    dump_recipe,
    load_recipe,
)

MINIMAL = '[data.train]\npath = "train.tsv"\n'


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(MINIMAL)
    return file


def from_toml(text: str) -> Recipe:
    return Recipe.from_dict(tomllib.loads(text))


def test_docstring_examples():
    assert doctest.testmod(recipe_module) == (0, 2)


def test_defaults():
    assert from_toml(MINIMAL) == Recipe(
        data=Data(
            folder=".",
            train=PairsSpec(path="train.tsv", source="", target="", source_column=0, target_column=1),
            validation=None,
            test=None,
            validation_size=0.05,
            test_size=0.05,
            max_source_length=256,
            max_target_length=256,
        ),
        tokenizer=Tokenizer(
            kind="sentencepiece",
            vocabulary_size=8000,
            model_type="unigram",
            shared=False,
            character_coverage=1.0,
            byte_fallback=False,
        ),
        model=Model(kind="recurrent", embedding_dim=256, units=256, attention_units=256, dropout=0.2),
        training=Training(
            epochs=10,
            batch_size=128,
            learning_rate=0.001,
            warmup_steps=200,
            label_smoothing=0.1,
            clip_norm=1.0,
            seed=0,
        ),
        decoding=Decoding(max_length=100, max_source_length=1024),
        evaluation=Evaluation(tokenize="13a"),
    )


def test_load_reads_a_file_with_byte_order_mark(tmp_path):
    file = tmp_path / "a.toml"
    file.write_bytes(("\ufeff" + MINIMAL.replace("train.tsv", "학습.tsv")).encode())
    assert load_recipe(file).data.train.path == "학습.tsv"


@pytest.mark.parametrize(
    ("override", "name", "value"),
    [
        ("training.epochs=3", "training.epochs", 3),
        ("training.learning_rate=1", "training.learning_rate", 1.0),
        ("model.dropout = 5e-2", "model.dropout", 0.05),
        ("tokenizer.shared=true", "tokenizer.shared", True),
        ("tokenizer.kind=characters", "tokenizer.kind", "characters"),
        ('tokenizer.kind="characters"', "tokenizer.kind", "characters"),
        ("data.train.path=my = pairs.tsv", "data.train.path", "my = pairs.tsv"),
        ("data.train.path=3\nepochs = 5", "data.train.path", "3\nepochs = 5"),
        ("data.test_size=7", "data.test_size", 7),
        ("data.test.path=test.csv", "data.test.path", "test.csv"),
        ('data.test={source = "a", target = "b"}', "data.test.target", "b"),
    ],
)
def test_overrides(path, override, name, value):
    found = load_recipe(path, [override])
    for part in name.split("."):
        found = getattr(found, part)
    assert found == value
    assert type(found) is type(value)


def test_later_overrides_win_and_may_clear(path):
    recipe = load_recipe(
        path, ["data.train.path=", "data.train.source=a", "data.train.target=c", "data.folder=x"]
    )
    assert recipe.data.train == PairsSpec(source="a", target="c")
    assert recipe.data.folder == "x"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.epochs", "The override `training.epochs` cannot be read. Expected `section.key=value`"),
        ("epochs=3", "The override `epochs=3` cannot be read"),
        ("training..epochs=3", "cannot be read"),
        ("data.train.path.x=3", "cannot be applied: `data.train.path` is no section"),
        ("training.epoch=3", "`training.epoch` is unknown. Did you mean `epochs`"),
        (
            "training.epochs=many",
            '`training.epochs` has the wrong type. Expected an integer. Received: "many"',
        ),
    ],
)
def test_overrides_refuse(path, override, message):
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, [override])


def test_missing_file(path):
    with pytest.raises(RecipeError, match=r"`.*smal.toml` does not exist. Did you mean `.*small.toml`"):
        load_recipe(path.with_name("smal.toml"))
    with pytest.raises(RecipeError, match=r"does not exist\.$"):
        load_recipe(path.parent / "no" / "such.toml")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"[data]\nfolder = \n", r"small.toml` is not valid TOML: .*line 2"),
        ("# 조리법\n".encode("cp949"), r"is not UTF-8 \(byte 2\)"),
    ],
)
def test_unreadable_file(path, content, message):
    path.write_bytes(content)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path)


def test_directory_instead_of_a_file(tmp_path):
    with pytest.raises(RecipeError, match="cannot be read: Is a directory"):
        load_recipe(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "`data` is missing"),
        ("[data]\n", "`data.train` is missing"),
        ("[data]\ntrain = 3\n", "`data.train` must be a section. Expected a table. Received: 3"),
        ("[data.train]\n", "`data.train` must say where the pairs are.* Received: none of them"),
        (MINIMAL + 'source = "a"\n', "`data.train` must say .* Received: path, source"),
        (MINIMAL + '[data.test]\nsource = "a"\n', "`data.test` must say .* Received: source"),
        (MINIMAL + "target_column = -1\n", "`data.train.target_column` is out of range. Expected at least 0"),
        (MINIMAL + "source_column = true\n", "Expected an integer or a string. Received: true"),
        (MINIMAL + "[data]\ntest_size = 2.0\n", "`data.test_size` is a fraction .* Received: 2.0"),
        (MINIMAL + "[data]\ntest_size = []\n", r"Expected an integer or a number. Received: \[\] \(list\)"),
        (MINIMAL + "[trainig]\n", "`trainig` is unknown. Did you mean `training`"),
        (MINIMAL + "[xyz]\n", "`xyz` is unknown. Expected one of data, tokenizer, model"),
        (MINIMAL + "[training]\nlearning-rate = 1\n", "`training.learning-rate` .* mean `learning_rate`"),
        (MINIMAL + "[training]\nepochs = 2.5\n", "wrong type. Expected an integer. Received: 2.5"),
        (MINIMAL + "[training]\nepochs = true\n", "wrong type. Expected an integer. Received: true"),
        (MINIMAL + "[training]\nepochs = 0\n", "out of range. Expected at least 1. Received: 0"),
        (MINIMAL + "[training]\nclip_norm = 0\n", "out of range. Expected more than 0. Received: 0.0"),
        (MINIMAL + "[training]\nlearning_rate = nan\n", "out of range. Expected more than 0. Received: nan"),
        (MINIMAL + "[training]\nclip_norm = inf\n", "out of range. Expected more than 0. Received: inf"),
        (MINIMAL + "[model]\ndropout = 1\n", "Expected at least 0 and less than 1. Received: 1.0"),
        (MINIMAL + "[tokenizer]\nshared = 1\n", "wrong type. Expected true or false. Received: 1"),
        (MINIMAL + '[tokenizer]\nkind = "word"\n', 'Expected one of "sentencepiece", "characters"'),
        (MINIMAL + "[tokenizer]\ncharacter_coverage = 0.5\n", "at least 0.98 and at most 1.0"),
    ],
)
def test_from_dict_refuses(text, message):
    with pytest.raises(RecipeError, match=message):
        from_toml(text)


def test_sections_made_in_python_are_checked_too():
    with pytest.raises(RecipeError, match="`dropout` is out of range"):
        Model(dropout=1.5)
    with pytest.raises(RecipeError, match=r"`train` has the wrong type\. Expected a PairsSpec"):
        Data(train="train.tsv")
    with pytest.raises(RecipeError, match="must say where the pairs are"):
        PairsSpec()
    with pytest.raises(RecipeError, match="`epochs` is out of range"):
        dataclasses.replace(Training(), epochs=-1)


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
columns = st.integers(0, 11) | names
specs = st.builds(PairsSpec, path=names, source_column=columns, target_column=columns) | st.builds(
    PairsSpec, source=names, target=names
)
fractions = st.floats(0, 1, exclude_max=True)
recipes = st.builds(
    Recipe,
    data=st.builds(
        Data,
        folder=st.just("") | names,
        train=specs,
        validation=st.none() | specs,
        test=st.none() | specs,
        test_size=fractions | st.integers(0, 97),
    ),
    tokenizer=st.builds(
        Tokenizer, kind=st.sampled_from(["sentencepiece", "characters"]), shared=st.booleans()
    ),
    model=st.builds(Model, dropout=fractions, units=st.integers(1, 997)),
    training=st.builds(Training, learning_rate=st.floats(0, exclude_min=True, allow_infinity=False)),
)


@given(recipes)
def test_dumped_recipes_are_read_back(recipe):
    again = from_toml(dump_recipe(recipe))
    assert again == recipe
    assert type(again.data.test_size) is type(recipe.data.test_size)
    assert differences(again, recipe) == []


def test_dump_leaves_out_what_is_unset():
    text = dump_recipe(from_toml(MINIMAL))
    assert '[data.train]\npath = "train.tsv"\nsource_column = 0\ntarget_column = 1\n' in text
    assert "data.test]" not in text
    assert "[training]\nepochs = 10\nbatch_size = 128\n" in text


def test_differences():
    a = from_toml(MINIMAL + "[training]\nepochs = 3\n")
    b = from_toml(MINIMAL + "source_column = \"0\"\n[training]\nepochs = 5\n[data.test]\npath = 'x'\n")
    assert differences(a, a) == []
    assert differences(a, b) == [
        'data.train.source_column: 0 != "0"',
        "training.epochs: 3 != 5",
        'data.test.path: unset != "x"',
        "data.test.source_column: unset != 0",
        "data.test.target_column: unset != 1",
    ]
