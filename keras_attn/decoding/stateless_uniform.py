"""Random numbers that depend on nothing but their seed and counters."""

import tensorflow as tf

# The constants of SplitMix64 (Steele, Lea, Flood 2014).
_STEP = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB


def stateless_uniform(seed, position, count):
    """Uniform numbers in [0, 1), `[B, count]`, that a row gets whatever stands beside it in the batch.

    `tf.random.stateless_uniform` has one seed for all rows: a row's numbers would depend on its place.

    Args:
        seed: integer `[B, 1]` or `[]`.
        position: integer `[]`.
        count: how many numbers a row.

    Returns:
        float64 `[B, count]`, or `[1, count]` for one seed.

    Reference: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014: its
    generator's finisher, over the seed, the position and the place in the row in turn.
    """
    bits = _mixed(tf.cast(seed, tf.uint64))
    bits = _mixed(tf.bitwise.bitwise_xor(bits, tf.cast(position, tf.uint64)))
    places = tf.cast(tf.range(count), tf.uint64)[None]  # [1, count]
    bits = _mixed(tf.bitwise.bitwise_xor(bits, places))
    return tf.cast(tf.bitwise.right_shift(bits, _constant(11)), tf.float64) * 2.0**-53


def _mixed(bits):
    bits += _constant(_STEP)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _constant(30))) * _constant(_FIRST)
    bits = tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _constant(27))) * _constant(_SECOND)
    return tf.bitwise.bitwise_xor(bits, tf.bitwise.right_shift(bits, _constant(31)))


def _constant(value):
    return tf.constant(value, tf.uint64)
