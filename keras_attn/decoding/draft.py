"""Tokens that a draft model proposes, and its state after the kept part of them."""

from typing import Any, NamedTuple

import tensorflow as tf


class Proposals(NamedTuple):
    """Tokens of the draft, one after the other.

    Attributes:
        tokens: int32 `[B, n]`.
        states: n states: the draft's after it was fed the token before the first, the first, and so on.
        vocabulary_size: that of the draft, or None where it is unknown before the graph runs.
    """

    tokens: Any
    states: Any
    vocabulary_size: Any


def propose(draft, last, position, state, memory, count, last_position):
    """Runs the draft greedily.

    Args:
        draft: a `keras_attn.protocols.Decoder`.
        last: int32 `[B, 1]`, the token that is fed first.
        position: of that token, int32 `[]`.
        state: of the draft, before it.
        memory: of the draft.
        count: n, how many tokens to propose; a Python integer, at least 1.
        last_position: int32 `[]`, the last one that can belong to a result. Later tokens are fed as if they
            stood there: none of them is ever kept, and a table of positions need not reach beyond it.

    Returns:
        `Proposals`.
    """
    tokens, states = [last], []
    for ahead in range(count):
        step = draft.step(tokens[-1], tf.minimum(position + ahead, last_position), state, memory)
        state = step.state
        states.append(state)
        tokens.append(tf.math.top_k(step.logits, 1).indices[..., 0])  # [B, 1]
    return Proposals(tf.concat(tokens[1:], axis=1), states, step.logits.shape[-1])


def go_on_after(draft, proposals, kept, position, memory):
    """The draft's state once `kept` tokens are decided.

    Args:
        draft: a `keras_attn.protocols.Decoder`.
        proposals: what `propose` returned.
        kept: int32 `[]`, 1 to n + 1. All n proposals and one more token are kept where it is n + 1; the last
            proposal has yet to be fed then, and only then does it cost a step.
        position: that `propose` was given.
        memory: of the draft.

    Returns:
        A state.
    """
    count = len(proposals.states)
    # Leaves alone go through the branches: what holds them may be of any kind.
    leaves = [tf.nest.flatten(state) for state in proposals.states]
    if not leaves[0]:
        return proposals.states[0]

    def all_kept():
        step = draft.step(proposals.tokens[:, -1:], position + count, proposals.states[-1], memory)
        return tf.nest.flatten(step.state)

    branches = [lambda leaves=of_state: leaves for of_state in leaves] + [all_kept]
    chosen = tf.switch_case(kept - 1, branches)
    return tf.nest.pack_sequence_as(proposals.states[0], tf.nest.flatten(chosen))
