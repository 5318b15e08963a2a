"""Text to ids and back to pieces; what is too long is refused."""

import pytest
import tensorflow as tf

from keras_attn.tokenizers import CharacterTokenizer
from keras_attn.tokenizers.token_ids import named_pieces, prefix_ids, required, token_ids, without_end

TOKENIZER = CharacterTokenizer("abc")  # a is 4, b is 5, c is 6


def test_ids_end_with_the_end_token_and_are_padded():
    ids = token_ids(TOKENIZER, tf.constant(["ab", "", "cab"]), 3)
    assert ids.numpy().tolist() == [[4, 5, 2, 0], [2, 0, 0, 0], [6, 4, 5, 2]]


def test_no_texts_have_an_axis_of_ids_all_the_same():
    assert token_ids(TOKENIZER, tf.constant([], tf.string), 3).shape == (0, 1)


def test_prefixes_have_no_end():
    assert prefix_ids(TOKENIZER, tf.constant(["ab", ""]), 2, "prefix").to_list() == [[4, 5], []]


def test_pieces_name_the_end_and_nothing_behind_it():
    pieces = named_pieces(TOKENIZER, tf.constant([[4, 2, 0], [3, 6, 2]]))
    assert pieces.numpy().tolist() == [[b"a", b"</s>", b""], ["\ufffd".encode(), b"c", b"</s>"]]


def test_decoded_tokens_without_their_end():
    assert without_end(tf.constant([[4, 5, 2], [2, 0, 0], [6, 6, 6]])).to_list() == [[4, 5], [], [6, 6, 6]]


@pytest.mark.parametrize("function", [token_ids, prefix_ids])
def test_too_many_tokens_are_refused_by_name(function):
    assert function(TOKENIZER, tf.constant(["abc"]), 3, "target") is not None
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"`target` is too long: expected at most 3 tokens. Split it"
    ):
        function(TOKENIZER, tf.constant(["ab", "abca"]), 3, "target")


def test_too_many_bytes_are_refused_before_they_are_split():
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"`text` is too long: expected at most 192 bytes"
    ):
        token_ids(TOKENIZER, tf.constant(["a" * 193]), 3)


def test_what_is_required_is_required_in_graphs_too():
    @tf.function
    def double(x):
        return required(x, x > 0, "`x` is no count. Expected at least 1.", x) * 2

    assert double(tf.constant([3])).numpy().tolist() == [6]
    with pytest.raises(
        tf.errors.InvalidArgumentError, match=r"`x` is no count. Expected at least 1. Received:"
    ):
        double(tf.constant([3, -1]))
