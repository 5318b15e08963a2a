"""Recipe files: read, overridden, written, compared."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keras_attn.training.recipe.model_sections import model_section
from keras_attn.training.recipe.recipe import Data, PairsSpec, Recipe, Tokenizer, Training
from keras_attn.training.recipe.section import RecipeError
from keras_attn.training.recipe.toml import differences, dump_recipe, load_recipe

MINIMAL = '[data.train]\npath = "train.tsv"\n'


@pytest.fixture
def path(tmp_path):
    file = tmp_path / "small.toml"
    file.write_text(MINIMAL)
    return file


def from_toml(text: str) -> Recipe:
    return Recipe.from_dict(tomllib.loads(text))


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


names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)
columns = st.integers(0, 11) | names
specs = st.tuples(columns, columns).filter(lambda two: two[0] != two[1]).flatmap(
    lambda two: st.builds(PairsSpec, path=names, source_column=st.just(two[0]), target_column=st.just(two[1]))
) | st.tuples(names, names).filter(lambda two: two[0] != two[1]).map(
    lambda two: PairsSpec(source=two[0], target=two[1])
)
fractions = st.floats(0, 1, exclude_max=True)
layers = st.lists(st.tuples(st.integers(1, 997), st.integers(1, 7)), min_size=1).map(tuple)
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
    model=st.builds(model_section, st.just("recurrent"), dropout=fractions, units=st.integers(1, 997))
    | st.builds(model_section, st.just("convolutional"), decoder_convolutions=layers)
    | st.builds(
        model_section,
        st.just("transformer"),
        num_key_value_heads=st.none() | st.integers(1, 7),
        position_options=st.none() | st.dictionaries(st.sampled_from(["max_length", "base"]), fractions),
        alignment_heads=st.none() | st.lists(st.integers(0, 3)),
    ),
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
