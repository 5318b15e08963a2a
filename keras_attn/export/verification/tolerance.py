"""How far numbers of two answers may be apart: as far as rounding takes them, and no farther."""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tensorflow as tf

# Half the distance from 1 to the next float32: the largest relative error of one operation.
_UNIT = 2.0**-24
# Errors of many operations add up like the steps of a random walk: so many times their root mean square.
_DEVIATIONS = 4
# Sums over the tokens of a text; all other numbers are of one token.
_SUMS = ("score", "log_prob")
# Compared through its logarithm, the mean of the tokens' log-probabilities.
_EXPONENTIALS = ("perplexity",)


class FixedTolerance(NamedTuple):
    """The same bound for all numbers: a share of the larger of 1 and their own size.

    Attributes:
        share: of float numbers.
    """

    share: float

    def bounds(self, name, numbers, answer):
        """As `RoundingTolerance.bounds`."""
        return self.share * np.maximum(1, np.abs(numbers))

    def summary(self):
        """Its entry in a report, a dictionary."""
        return {"kind": "fixed", "share": self.share}

    def __str__(self):
        return f"numbers within {self.share:g} of the larger of 1 and their own size"


class RoundingTolerance(NamedTuple):
    """The bound that follows from the model: what rounding alone makes of a log-probability.

    Processors add up in different orders, so that two right answers differ. n operations on the way to a
    number round at random and add up to about sqrt(n) u of its size, u being 2^-24. With four times that, a
    log-probability l of one token in a vocabulary of V may differ by

    ```
    r max(|l|, log V),  r = 4 u sqrt(n)
    ```

    (the logits that it is made of are at least about log V apart, or nothing was likely), and one of T tokens
    by r (|l| + T log V): the errors of the tokens of one text have a common cause and add up. An alignment
    and an encoder's state are bounded like one token, the largest number of their row standing for |l|.

    Measured between SSE4, AVX2 and AVX-512, between batches, and between steps and full passes, models of 1
    to 24 layers and texts of 8 to 1,000 tokens take up an eighth of it at most.

    Attributes:
        num_terms: n, the numbers that are added up on the way from a token to its log-probability.
        vocabulary_size: V, number of target ids.
        max_length: T where the answer does not say it.
    """

    num_terms: int
    vocabulary_size: int
    max_length: int

    @property
    def share(self):
        """r, of the size of a log-probability."""
        return _DEVIATIONS * _UNIT * math.sqrt(self.num_terms)

    @property
    def of_a_token(self):
        """The bound of a log-probability of no more than log V."""
        return self.share * math.log(self.vocabulary_size)

    def bounds(self, name, numbers, answer):
        """How far each number of an output may be off.

        Args:
            name: of the output.
            numbers: floats, the batch first; logarithms where `is_exponential(name)`.
            answer: the arrays of the whole answer, by name: it may say how many tokens a sum is of.

        Returns:
            An array that broadcasts against `numbers`.
        """
        if name in _SUMS:
            lengths = answer.get("length", answer.get("lengths"))
            tokens = self.max_length if lengths is None else lengths + 1  # the end token may not be counted
            return self.share * np.abs(numbers) + self.of_a_token * tokens
        sizes = np.abs(numbers)
        axes = tuple(range(1, sizes.ndim))
        largest = sizes.max(axis=axes, keepdims=True, initial=0) if axes else sizes
        return np.maximum(self.share * largest, self.of_a_token)

    def summary(self):
        """Its entry in a report, a dictionary."""
        return {"kind": "rounding", "num_terms": self.num_terms, "of_a_token": self.of_a_token}

    def __str__(self):
        return (
            f"a token's log-probability within {self.of_a_token:.2g}: {_DEVIATIONS} times what rounding "
            f"makes of {self.num_terms} terms"
        )


# Where nothing is known of the model.
UNKNOWN = FixedTolerance(1e-5)
# TensorFlow rounds bfloat16 elsewhere in a graph than eagerly, so that what is decoded may differ.
ROUGHLY_CHECKED, ROUGH_TOLERANCE = ("score",), FixedTolerance(0.1)


def is_exponential(name):
    """Whether an output is compared through its logarithm."""
    return name in _EXPONENTIALS


def kernels_of(model):
    """Sums in a model, a dictionary for the manifest; None for a decoder without Keras weights.

    A number that a kernel makes is a sum over all axes of the kernel but the last.
    """
    weights = getattr(model, "weights", ())
    return _kernels([tuple(weight.shape) for weight in weights if _is_kernel(weight)])


def tolerance_of(text_to_text, texts):
    """The bound of a model's answers.

    Args:
        text_to_text: a `keras_attn.TextToText`.
        texts: the sources that it is asked for, strings as bytes.

    Returns:
        A `RoundingTolerance`; `UNKNOWN` for a decoder without Keras weights.
    """
    size = text_to_text.target_tokenizer.vocabulary_size
    return _tolerance(kernels_of(text_to_text.model), size, text_to_text.max_length, texts)


def read_tolerance(folder, manifest, texts):
    """The bound of an export's answers, by what its manifest says, or else by the weights that lie beside it.

    Args:
        folder: of the version.
        manifest: of the same version.
        texts: the sources that it is asked for, strings as bytes.

    Returns:
        A `RoundingTolerance`; `UNKNOWN` for a packed export whose manifest does not say it.
    """
    kernels = manifest.get("kernels") or _kernels(_saved_shapes(Path(folder), manifest))
    size = manifest["tokenizers"]["target"]["vocabulary_size"]
    return _tolerance(kernels, size, manifest["decoding"]["max_length"], texts)


def _tolerance(kernels, vocabulary_size, max_length, texts):
    """No text has more tokens than bytes, but for its end and an empty beginning. Each number that a kernel
    makes takes part in one sum over positions more: that of attention, or of a recurrent state."""
    if kernels is None:
        return UNKNOWN
    num_positions = max(map(len, texts)) + 2 + max_length
    num_terms = kernels["num_terms"] + kernels["num_kernels"] * num_positions
    return RoundingTolerance(num_terms, vocabulary_size, max_length)


def _kernels(shapes):
    num_terms = sum(math.prod(shape[:-1]) for shape in shapes)
    return {"num_kernels": len(shapes), "num_terms": num_terms} if shapes else None


def _is_kernel(weight):
    """Biases of a GRU have two axes as well, and tables are looked up."""
    return len(weight.shape) > 1 and not weight.path.endswith(("/bias", "/embeddings"))


def _saved_shapes(folder, manifest):
    """Shapes of an older export's kernels: they have no names, but tables are as long as a vocabulary."""
    tables = {tokenizer["vocabulary_size"] for tokenizer in manifest["tokenizers"].values()}
    saved = tf.train.load_checkpoint(str(folder / "variables" / "variables")).get_variable_to_shape_map()
    shapes = [shape for name, shape in saved.items() if name.startswith("weights/")]
    return [shape for shape in shapes if len(shape) > 1 and shape[0] not in tables]
