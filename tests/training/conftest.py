"""A tiny corpus, its recipe, and one finished run of it."""

from types import SimpleNamespace

import pytest

from keras_attn.training.recipe.recipe import Recipe

WORDS = ("rot", "blau", "가", "나", "katze", "🙂", "3", "zwölf")


def write_corpus(folder):
    """Pairs whose target is the source's words in reverse order."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for index in range(61):
        words = [WORDS[(index * step + step) % len(WORDS)] for step in (1, 3, 5)][: 1 + index % 3]
        lines.append(" ".join(words) + f" {index}\t{index} " + " ".join(words[::-1]) + "\n")
    (folder / "pairs.tsv").write_text("".join(lines), encoding="utf-8")
    return folder


def make_recipe(folder, **changes):
    """A recipe of the corpus in `folder`; `section__key=value` changes it."""
    table = {
        "data": {
            "folder": str(folder),
            "train": {"path": "pairs.tsv"},
            "validation_size": 7,
            "test_size": 5,
        },
        "tokenizer": {"kind": "characters", "vocabulary_size": 97},
        "model": {"embedding_dim": 5, "dropout": 0.3},
        "training": {"epochs": 3, "batch_size": 11, "learning_rate": 0.01, "warmup_steps": 2, "seed": 13},
        "decoding": {"max_length": 17, "max_source_length": 67},
    }
    for name, value in changes.items():
        section, key = name.split("__")
        table.setdefault(section, {})[key] = value
    if "kind" not in table["model"]:
        table["model"] = {"units": 7, "attention_units": 3, **table["model"]}
    return Recipe.from_dict(table)


def run_training(recipe, path, report=lambda line: None):
    """Trains a recipe. Returns the run and its history."""
    from keras_attn.training import train_recipe

    run = train_recipe(recipe, path, report)
    return run, run.history()


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    return write_corpus(tmp_path_factory.mktemp("corpus"))


@pytest.fixture(scope="session")
def recipe_of(corpus_folder):
    """`recipe_of(section__key=value, ...)`."""
    return lambda **changes: make_recipe(corpus_folder, **changes)


@pytest.fixture(scope="session")
def quick_recipe_of(corpus_folder):
    """The same of a convolutional model, whose training TensorFlow traces in a third of the time."""

    def recipe(**changes):
        layers = {f"model__{side}_convolutions": [[7, 3]] for side in ("encoder", "decoder")}
        return make_recipe(corpus_folder, model__kind="convolutional", **layers, **changes)

    return recipe


@pytest.fixture(scope="session")
def training():
    """`training(recipe, path, report)` -> (run, history)."""
    return run_training


@pytest.fixture(scope="session")
def finished(quick_recipe_of, tmp_path_factory):
    """A run of three epochs, with dropout, that nothing broke."""
    recipe, lines = quick_recipe_of(), []
    run, history = run_training(recipe, tmp_path_factory.mktemp("runs") / "finished", lines.append)
    return SimpleNamespace(recipe=recipe, run=run, history=history, lines=lines)


@pytest.fixture(scope="session")
def averaged_run(quick_recipe_of, tmp_path_factory):
    """A run of four epochs with everything that averages, accumulates and measures by decoding."""
    lines = []
    recipe = quick_recipe_of(
        training__epochs=4,
        training__schedule="noam",
        training__accumulate_steps=2,
        training__weight_decay=0.01,
        training__ema_momentum=0.8,
        training__average_last=2,
        training__monitor="val_bleu",
        training__validation_decoding={"every_epochs": 3},
        decoding__beam_size=2,
    )
    run, history = run_training(recipe, tmp_path_factory.mktemp("runs") / "averaged", lines.append)
    return SimpleNamespace(recipe=recipe, run=run, history=history, lines=lines)
