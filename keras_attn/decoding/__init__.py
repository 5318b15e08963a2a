"""From a decoder's steps to whole sequences: one loop, strategies plugged in."""

from keras_attn.decoding.greedy import Greedy
from keras_attn.decoding.loop import Decoded, decode

__all__ = ["Decoded", "Greedy", "decode"]
