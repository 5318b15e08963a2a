"""Shares the traced graphs of a decoder between the signatures of an export."""

import copy

import keras
import tensorflow as tf

from keras_attn.export.packed.transformer import PackedTransformer


class TracedDecoder:
    """A decoder whose `start` and `step` are traced once for each number of beams.

    Every signature that decodes would trace the model anew, which is most of the time of an export. Here
    they call the same functions, which the export inlines again.

    Args:
        decoder: a `keras_attn.protocols.Decoder` whose state and memory hold tensors only.
    """

    def __init__(self, decoder):
        self._decoder = decoder
        self.start = tf.function(decoder.start, autograph=False)
        self.step = tf.function(decoder.step, autograph=False)

    def __getattr__(self, name):
        return getattr(self._decoder, name)


class _TracedModel(TracedDecoder):
    """A `TracedDecoder` of a model that scores a whole target in one call."""

    def __call__(self, *inputs, **options):
        return self._decoder(*inputs, **options)


def with_traced_decoder(service):
    """A `Service` that answers like another one, from a `TracedDecoder`.

    Args:
        service: a `Service`. Where its model is neither a Keras model nor packed, its memory may hold what is
            no tensor, and it is returned as it is.
    """
    model = service.text_to_text.model
    if not isinstance(model, keras.Model | PackedTransformer):
        return service
    traced = copy.copy(service)
    traced.text_to_text = copy.copy(service.text_to_text)
    traced.text_to_text.model = (_TracedModel if callable(model) else TracedDecoder)(model)
    return traced
