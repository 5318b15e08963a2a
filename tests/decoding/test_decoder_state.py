"""The state of a decoder follows its hypotheses, the usual way or the decoder's own."""

import tensorflow as tf

from keras_attn.decoding.decoder_state import reordered, spread


class Own:
    """Keeps one leaf where it is and remembers where each hypothesis came from."""

    def reorder(self, state, parents):
        """See `keras_attn.protocols.Decoder`."""
        return {**state, "slots": tf.gather(state["slots"], parents, batch_dims=1)}


def test_every_leaf_is_gathered_by_the_parents():
    state = {"a": tf.constant([[[1], [2]], [[3], [4]]]), "b": [tf.constant([[5, 6], [7, 8]])]}
    moved = reordered(object(), state, tf.constant([[1, 1, 0], [0, 1, 0]]))
    assert moved["a"][..., 0].numpy().tolist() == [[2, 2, 1], [3, 4, 3]]
    assert moved["b"][0].numpy().tolist() == [[6, 6, 5], [7, 8, 7]]


def test_a_decoder_with_a_reorder_of_its_own_is_asked():
    state = {"slots": tf.constant([[1, 2]]), "cache": tf.constant([9.0])}
    moved = reordered(Own(), state, tf.constant([[1, 0]]))
    assert moved["slots"].numpy().tolist() == [[2, 1]]
    assert moved["cache"] is state["cache"]


def test_one_hypothesis_is_spread_over_many():
    state = {"slots": tf.constant([[1], [2]])}
    for decoder in (object(), Own()):
        assert spread(decoder, state, 2, 1) is state
        for count in (3, tf.constant(3)):
            assert spread(decoder, state, 2, count)["slots"].numpy().tolist() == [[1, 1, 1], [2, 2, 2]]
