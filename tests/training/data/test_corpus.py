"""From a recipe to three sets of pairs, tokenizers and ids."""

import numpy as np
import pytest

from keras_attn.tokenizers import ByteTokenizer, CharacterTokenizer, SentencePieceTokenizer, WordTokenizer
from keras_attn.training.data.corpus import load_corpus, load_part
from keras_attn.training.data.encoded_pairs import check_lengths, encode_pairs
from keras_attn.training.data.text_files import DataError
from keras_attn.training.recipe.recipe import PairsSpec, Recipe
from keras_attn.training.recipe.section import RecipeError
from keras_attn.training.run.tokenizers import train_tokenizers

PAIRS = [("ab c", "xy"), ("a", "xyz y"), ("b c", "z")]


def test_held_out_pairs(recipe_of, corpus_folder):
    corpus = load_corpus(recipe_of())
    assert [len(pairs) for pairs in corpus] == [61 - 7 - 5, 7, 5]
    lines = (corpus_folder / "pairs.tsv").read_text(encoding="utf-8").splitlines()
    everything = [tuple(line.split("\t")) for line in lines]
    assert sorted(corpus.train + corpus.validation + corpus.test) == sorted(everything)
    assert load_corpus(recipe_of()) == corpus
    assert load_corpus(recipe_of(training__seed=14)) == corpus
    assert load_corpus(recipe_of(data__split_seed=14)) != corpus


def test_given_files_are_taken_and_nothing_is_held_out_for_them(recipe_of, corpus_folder):
    (corpus_folder / "test.tsv").write_text("q\tr\n")
    corpus = load_corpus(recipe_of(data__test={"path": "test.tsv"}))
    assert corpus.test == [("q", "r")]
    assert [len(corpus.train), len(corpus.validation)] == [61 - 7, 7]
    both = {"data__test": {"path": "test.tsv"}, "data__validation": {"path": "test.tsv"}}
    assert [len(pairs) for pairs in load_corpus(recipe_of(**both))] == [61, 1, 1]


def test_a_part_with_a_file_of_its_own_needs_no_other(recipe_of, corpus_folder, tmp_path):
    recipe = recipe_of()
    assert load_part(recipe, "validation") == load_corpus(recipe).validation
    (tmp_path / "test.tsv").write_text("q\tr\n")
    recipe = recipe_of(data__folder=str(tmp_path), data__test={"path": "test.tsv"})
    assert load_part(recipe, "test") == [("q", "r")]


def test_only_what_is_trained_on_is_cleaned_and_accounted_for(tmp_path):
    lines = ["a\ta", "b\tc", "b\tc", " \tc", "d\tefghijk", *(f"x{i}\ty{i}" for i in range(7))]
    (tmp_path / "pairs.tsv").write_text("\n".join(lines))
    cleaning = {"duplicates": True, "identical": True, "max_length_ratio": 5}
    data = {"folder": str(tmp_path), "train": {"path": "pairs.tsv"}, "cleaning": cleaning}
    reported = []
    given = {"validation": {"path": "pairs.tsv"}, "test": {"path": "pairs.tsv"}}
    corpus = load_corpus(Recipe.from_dict({"data": {**data, **given}}), reported.append)
    assert [len(pairs) for pairs in corpus] == [8, 11, 11]
    assert reported == [
        "Training data: 12 pairs read: 1 empty, 1 ratio > 5, 1 identical, 1 duplicates; 8 kept"
    ]
    data |= {"validation_size": 1, "test_size": 2}
    corpus = load_corpus(Recipe.from_dict({"data": data}), reported.append)
    assert reported[1].startswith("Training data: 12 pairs read: 1 empty, 3 held out, ")
    assert reported[1].endswith(f"; {len(corpus.train)} kept")


def test_without_cleaning_everything_stays(recipe_of):
    reported = []
    corpus = load_corpus(recipe_of(), reported.append)
    assert len(corpus.train) == 49
    assert reported == ["Training data: 61 pairs read: 0 empty, 12 held out; 49 kept"]


def test_cleaning_that_leaves_nothing(tmp_path):
    (tmp_path / "pairs.tsv").write_text("a\ta\nb\tb\n")
    spec = {"path": "pairs.tsv"}
    data = {"train": spec, "validation": spec, "test": spec, "cleaning": {"identical": True}}
    with pytest.raises(DataError, match=r"no pair for `data.train`.* larger size, or clean less\."):
        load_corpus(Recipe.from_dict({"data": {"folder": str(tmp_path), **data}}))


@pytest.mark.parametrize("part", ["validation", "test"])
def test_a_part_without_pairs(recipe_of, part):
    with pytest.raises(
        DataError, match=f"leaves no pair for `data.{part}`. Give it a section or a larger size"
    ):
        load_corpus(recipe_of(**{f"data__{part}_size": 0}))


def test_tokenizers_of_each_side(recipe_of):
    source, target = train_tokenizers(recipe_of(), PAIRS)
    assert type(source) is type(target) is CharacterTokenizer
    assert source.vocabulary == (" ", "a", "b", "c")
    assert target.vocabulary == (" ", "x", "y", "z")


def test_a_shared_tokenizer(recipe_of):
    source, target = train_tokenizers(recipe_of(tokenizer__shared=True), PAIRS)
    assert source is target
    assert source.vocabulary == (" ", "a", "b", "c", "x", "y", "z")


def test_sentencepiece_tokenizers_follow_the_recipe(recipe_of):
    options = {"tokenizer__kind": "sentencepiece", "tokenizer__vocabulary_size": 19}
    pairs = PAIRS * 7
    source, target = train_tokenizers(recipe_of(**options), pairs)
    assert type(source) is type(target) is SentencePieceTokenizer
    assert source.vocabulary_size <= 19
    options |= {"tokenizer__vocabulary_size": 283, "tokenizer__byte_fallback": True}
    spelled, _ = train_tokenizers(recipe_of(**options), pairs)
    assert spelled.vocabulary_size > 256


def test_words_that_are_frequent_enough(recipe_of):
    recipe = recipe_of(tokenizer__kind="words", tokenizer__minimum_count=2)
    source, target = train_tokenizers(recipe, [*PAIRS, ("ab b", "z")])
    assert type(source) is type(target) is WordTokenizer
    assert (source.vocabulary, target.vocabulary) == (("ab", "b", "c"), ("z",))


def test_bytes_need_no_training(recipe_of):
    source, target = train_tokenizers(recipe_of(tokenizer__kind="bytes"), PAIRS)
    assert type(source) is type(target) is ByteTokenizer


def test_encoded_pairs_and_those_that_are_too_long():
    source, target = CharacterTokenizer(" abc"), CharacterTokenizer(" xyz")
    encoded = encode_pairs(PAIRS, source, target, 4, 5)
    assert [ids.tolist() for ids in encoded.sources] == [[5, 6, 4, 7], [5], [6, 4, 7]]
    assert [ids.tolist() for ids in encoded.targets] == [[5, 6], [5, 6, 7, 4, 6], [7]]
    assert (encoded.pairs, encoded.dropped_long) == (PAIRS, 0)
    assert encoded.sources[0].dtype == np.int32
    shorter = encode_pairs(PAIRS, source, target, 3, 4)
    assert ([ids.tolist() for ids in shorter.sources], shorter.dropped_long) == ([[6, 4, 7]], 2)
    assert shorter.pairs == PAIRS[2:]


def test_many_pairs_are_encoded_in_order():
    digits = CharacterTokenizer("0123456789")
    pairs = [(str(number), str(-number % 8209)) for number in range(8209)]  # over two rounds of encoding
    encoded = encode_pairs(pairs, digits, digits, 7, 7)
    for side, rows in enumerate((encoded.sources, encoded.targets)):
        texts = ["".join(str(number - 4) for number in ids) for ids in rows]
        assert texts == [pair[side] for pair in pairs]


def test_every_pair_too_long():
    tokenizer = CharacterTokenizer("abc")
    with pytest.raises(
        DataError, match=r"Every training pair is longer than `data.max_source_length` = 1 or"
    ):
        encode_pairs(PAIRS[:1], tokenizer, tokenizer, 1, 7)


def test_a_spec_is_part_of_the_recipe(recipe_of):
    assert recipe_of().data.train == PairsSpec(path="pairs.tsv")


def test_sources_that_could_not_be_translated_are_found_before(recipe_of):
    pairs, tokenizer = [("ab", "x"), ("abcdefg", "y"), ("abcde", "z")], ByteTokenizer()
    check_lengths(pairs, tokenizer, 7, "test")
    message = "2 test sources are longer than 4 tokens .* The longest, pair 2, has 7: 'abcdefg'. Raise"
    with pytest.raises(DataError, match=message):
        check_lengths(pairs, tokenizer, 4, "test")


def test_a_vocabulary_that_is_smaller_than_the_characters(recipe_of):
    recipe = recipe_of(tokenizer__kind="sentencepiece", tokenizer__vocabulary_size=5)
    with pytest.raises(RecipeError, match="`tokenizer` cannot be trained"):
        train_tokenizers(recipe, [("abcdefgh", "ijklmnop")])
