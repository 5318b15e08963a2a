"""Recipes: defaults, and what a wrong recipe is told."""

import ast
import dataclasses
import tomllib

import pytest

from keras_attn.training.recipe.model_sections import ModelSection, model_section
from keras_attn.training.recipe.recipe import (
    Cleaning,
    Data,
    Decoding,
    Evaluation,
    PairsSpec,
    Recipe,
    Tokenizer,
    Training,
    ValidationDecoding,
)
from keras_attn.training.recipe.section import RecipeError

from ...contracts.test_imports import TREES, within

MINIMAL = '[data.train]\npath = "train.tsv"\n'


def from_toml(text: str) -> Recipe:
    return Recipe.from_dict(tomllib.loads(text))


def test_every_key_is_read():
    """All but those of `[model]` and `[tokenizer]`, which constructors and `train` take by name."""
    package, room = "keras_attn.training", "keras_attn.training.recipe"
    trees = [tree for module, tree in TREES.items() if within(module, package) and not within(module, room)]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for section in (PairsSpec, Cleaning, Data, ValidationDecoding, Training, Decoding, Evaluation):
        assert {field.name for field in dataclasses.fields(section)} - read == set()


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
        model=model_section(
            "recurrent",
            embedding_dim=256,
            units=256,
            attention_units=256,
            dropout=0.2,
            cell="gru",
        ),
        training=Training(
            epochs=10,
            batch_size=128,
            learning_rate=0.001,
            warmup_steps=200,
            label_smoothing=0.1,
            clip_norm=1.0,
            seed=0,
        ),
        decoding=Decoding(max_length=100, max_source_length=1024, beam_size=1, length_penalty=0.6),
        evaluation=Evaluation(tokenize="13a"),
    )


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
        (MINIMAL + "source_column = 1\n", "`data.train.target_column` must differ .* Received: 1 for both"),
        ('[data.train]\nsource = "a"\ntarget = "a"\n', "`data.train.target` must differ .* 'a' for both"),
        (
            '[data.train]\nsource = "a"\ntarget = "b"\ntarget_column = 2\n',
            "belongs to a table. Aligned files are whole texts",
        ),
        (MINIMAL + "source_column = true\n", "Expected an integer or a string. Received: true"),
        (MINIMAL + "[data]\ntest_size = 2.0\n", "`data.test_size` is a fraction .* Received: 2.0"),
        (MINIMAL + "[data]\ntest_size = []\n", r"Expected an integer or a number. Received: \[\] \(list\)"),
        (MINIMAL + "[trainig]\n", "`trainig` is unknown. Did you mean `training`"),
        (MINIMAL + "[xyz]\n", "`xyz` is unknown. Expected one of data, tokenizer, model"),
        (MINIMAL + "[training]\nlearning-rate = 1\n", "`training.learning-rate` .* mean `learning_rate`"),
        (MINIMAL + "[training]\nepochs = 2.5\n", "wrong type. Expected an integer. Received: 2.5"),
        (MINIMAL + "[training]\nepochs = true\n", "wrong type. Expected an integer. Received: true"),
        (MINIMAL + "[training]\nseed = 4294967296\n", "at least 0 and at most 4294967295"),
        (MINIMAL + "[training]\nepochs = 0\n", "out of range. Expected at least 1. Received: 0"),
        (MINIMAL + "[training]\nclip_norm = -1\n", "out of range. Expected at least 0. Received: -1.0"),
        (MINIMAL + "[training]\nlearning_rate = nan\n", "out of range. Expected more than 0. Received: nan"),
        (MINIMAL + "[training]\nclip_norm = inf\n", "out of range. Expected at least 0. Received: inf"),
        (
            MINIMAL + "[training]\nr_drop_after = 2\n",
            "Expected `r_drop` above 0, .* 2, with .* 0.0",
        ),
        (MINIMAL + "[training]\nepochs = 3\nr_drop = 2\nr_drop_after = 3\n", "less than 3 epochs"),
        (
            MINIMAL + "[training]\nsubword_sampling_epochs = 2\n",
            "Expected `subword_sampling` above 0, .* 2, with .* 0.0",
        ),
        (
            MINIMAL + "[training]\nepochs = 3\nsubword_sampling = 0.1\nsubword_sampling_epochs = 3\n",
            "less than 3 epochs",
        ),
        (
            MINIMAL + '[training]\nmonitor = "val_bleu"\n',
            "`training.monitor` is .*Add it, or monitor val_loss",
        ),
        (MINIMAL + "[training]\naverage_best = 2\naverage_last = 3\n", "average_best` excludes .* 2 and 3"),
        (
            MINIMAL + '[training]\ndevices = "all"\naccumulate_steps = 2\n',
            "`training.accumulate_steps` must be 1 with .* Received: 2. Use larger batches",
        ),
        (MINIMAL + "[training.validation_decoding]\nevery_epochs = 0\n", "every_epochs` is out of range"),
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
        model_section("recurrent", dropout=1.5)
    with pytest.raises(RecipeError, match=r"`train` has the wrong type\. Expected a PairsSpec"):
        Data(train="train.tsv")
    with pytest.raises(RecipeError, match="must say where the pairs are"):
        PairsSpec()
    with pytest.raises(RecipeError, match="`epochs` is out of range"):
        dataclasses.replace(Training(), epochs=-1)


def test_a_preset_is_written_out():
    recipe = from_toml(MINIMAL + '[model]\npreset = "transformer_tiny"\ndropout = 0.1\n')
    assert recipe.model == model_section(
        "transformer",
        num_encoder_layers=4,
        num_decoder_layers=4,
        embedding_dim=128,
        num_heads=4,
        hidden_dim=256,
        dropout=0.1,
    )
    luong = from_toml(MINIMAL + '[model]\npreset = "luong_2015"\n').model
    assert (luong.cell, luong.readout, luong.settings()["readout"]) == ("lstm", "none", None)
    conv = from_toml(MINIMAL + '[model]\npreset = "convs2s_iwslt_de_en"\n').model
    assert conv.decoder_convolutions == ((256, 3),) * 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('preset = "transformer_tin"', "`model.preset` is unknown.* Did you mean 'transformer_tiny'"),
        ('kind = "transfomer"', '`model.kind` is no known choice. Expected one of "recurrent", "conv'),
        ('kind = ["transformer"]', r"`model.kind` is no known choice.* Received: \['transformer'\]"),
        ('kind = "transformer"\nunits = 3', "`model.units` is unknown"),
        (
            'kind = "transformer"\nembedding_dim = 7\nnum_heads = 2',
            "`model.embedding_dim` must be a",
        ),
        ('kind = "transformer"\nshare_embeddings = "all"', "`tokenizer.shared` must be true"),
        ('kind = "language_model"', "`tokenizer.shared` must be true"),
        (
            'kind = "convolutional"\nencoder_convolutions = []',
            "`model.encoder_convolutions` must hold",
        ),
        (
            'kind = "convolutional"\ndecoder_convolutions = [[3]]',
            r"\[filters, kernel_size\].* \(3,\)",
        ),
        ('kind = "convolutional"\ndecoder_convolutions = 3', "wrong type. Expected an array. Received: 3"),
    ],
)
def test_models_refuse(text, message):
    with pytest.raises(RecipeError, match=message):
        from_toml(MINIMAL + "[model]\n" + text + "\n")


def test_convolutions_are_frozen():
    table = {"encoder_convolutions": [[7, 3], [5, 1]]}
    assert ModelSection.from_dict({"kind": "convolutional", **table}).encoder_convolutions == ((7, 3), (5, 1))
