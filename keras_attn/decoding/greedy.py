"""Greedy choice: the most probable token at every step."""

import tensorflow as tf

from keras_attn.decoding.independent import InPlace
from keras_attn.decoding.processing import Choices
from keras_attn.decoding.task import Task
from keras_attn.decoding.top_k import top_k
from keras_attn.typing import Tensor


class Greedy(InPlace):
    """Takes the most probable token at every step, so there is one hypothesis a row.

    ```
    y_t = argmax_v log p(v | y_<t, x)
    ```

    Of equally probable tokens the one with the lowest id is taken. `BeamSearch` looks further ahead;
    `Sampling` draws instead.

    Example:

    >>> import tensorflow as tf
    >>> from keras_attn.decoding import Choices, Greedy
    >>> logits = tf.math.log([[[0.25, 0.5, 0.25]]])
    >>> tokens, log_probs = Greedy().choose(Choices(logits, logits))
    >>> int(tokens[0, 0]), round(float(tf.exp(log_probs[0, 0])), 3)
    (1, 0.5)
    """

    def choose(
        self, choices: Choices, position: Tensor = None, task: Task | None = None
    ) -> tuple[Tensor, Tensor]:
        """The next tokens.

        Args:
            choices: `Choices` of logits `[B, 1, V]`.
            position: unused.
            task: unused.

        Returns:
            int32 tokens `[B, 1]` and their float32 log-probabilities `[B, 1]`, in the full softmax.
        """
        # Faster than argmax and reduce_max, and brings the value along.
        best, tokens = (tf.squeeze(found, axis=-1) for found in top_k(choices.logits, 1))  # [B, 1]
        return tokens, best - choices.log_normalizer(best, tokens)
