"""RNN sequence-to-sequence with attention (Bahdanau, Cho and Bengio 2015)."""

import keras
from keras import ops

from keras_attn.layers import AttentionRNN, BahdanauAttention
from keras_attn.protocols import Step

PAD_ID = 0


@keras.saving.register_keras_serializable(package="keras_attn")
class RecurrentSeq2Seq(keras.Model):
    """Bidirectional GRU encoder, Bahdanau attention, GRU decoder.

    ```
    h     = [GRU→(E_s x); GRU←(E_s x)]                memory
    s_0   = tanh(W_0 h←_1)                            the backward state after the first source token
    c_t   = sum_j a_tj h_j,  a_t = softmax_j(v · tanh(W_q s_{t-1} + W_k h_j))
    s_t   = GRU([E_t y_{t-1}; c_t], s_{t-1})
    logits_t = W_o tanh(W_r [s_t; c_t; E_t y_{t-1}])
    ```

    A functional model of `{"source": [B, S], "target": [B, T]}` int32 ids, where `target` begins with the
    start token and id 0 pads; its output is the logits `[B, T, V]` in float32. `start` and `step` run the
    same layers one step at a time (`keras_attn.protocols.Decoder`).

    Args:
        source_vocabulary_size: number of source ids.
        target_vocabulary_size: V, number of target ids.
        embedding_dim: width of both embeddings and of the layer before the output.
        units: width of the decoder's state and of each direction of the encoder.
        attention_units: width of the attention's hidden layer.
        dropout: rate on the embeddings, on the memory and before the output.
        **kwargs: of `keras.Model`.

    Differs from the paper: tanh instead of maxout before the output, and GRUs as Keras has them
    (`reset_after`).
    """

    def __init__(
        self,
        source_vocabulary_size,
        target_vocabulary_size,
        embedding_dim=256,
        units=256,
        attention_units=256,
        dropout=0.0,
        **kwargs,
    ):
        sizes = {
            "source_vocabulary_size": source_vocabulary_size,
            "target_vocabulary_size": target_vocabulary_size,
            "embedding_dim": embedding_dim,
            "units": units,
            "attention_units": attention_units,
            "dropout": dropout,
        }
        parts = _make_parts(**sizes)
        source = keras.Input((None,), dtype="int32", name="source")
        target = keras.Input((None,), dtype="int32", name="target")
        memory, memory_mask, state = _encode(parts, source)
        embedded = parts["dropout"](parts["target_embedding"](target))
        attended = parts["decoder"](embedded, memory, memory_mask=memory_mask, initial_state=[state])
        logits = _predict(parts, attended, embedded)
        super().__init__(inputs={"source": source, "target": target}, outputs=logits, **kwargs)
        self._parts = parts
        self._sizes = sizes

    def start(self, source):
        """Encodes the source.

        Args:
            source: int32 ids `[B, S]`, padded with 0.

        Returns:
            state, leaves `[B, 1, ...]`, and memory, leaves `[B, S, ...]`.
        """
        memory, memory_mask, state = _encode(self._parts, source)
        return [state[:, None]], self._parts["decoder"].prepare_memory(memory, memory_mask)

    def step(self, tokens, position, state, memory):
        """Predicts the token after `tokens`.

        Args:
            tokens: int32 ids `[B, K]`.
            position: unused: a recurrent state knows where it is.
            state: list of `[B, K, units]`.
            memory: what `start` returned.

        Returns:
            A `Step` of logits `[B, K, V]`, the new state and the alignment `[B, K, S]`.
        """
        embedded = self._parts["target_embedding"](tokens)
        attended, state, _, alignment = self._parts["decoder"].step(embedded, state, memory)
        return Step(_predict(self._parts, attended, embedded), state, alignment)

    def get_config(self):
        """Everything the constructor takes."""
        return {"name": self.name, **self._sizes}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        """Builds the model anew from its sizes."""
        return cls(**config)


def _make_parts(
    source_vocabulary_size, target_vocabulary_size, embedding_dim, units, attention_units, dropout
):
    """The layers, by the names that they have in the model."""
    layers = keras.layers
    # cuDNN's op in a SavedModel cannot be loaded where there is no GPU.
    gru = layers.GRU(units, return_sequences=True, return_state=True, use_cudnn=False)
    attention = BahdanauAttention(attention_units)
    return {
        "source_embedding": layers.Embedding(source_vocabulary_size, embedding_dim, name="source_embedding"),
        "target_embedding": layers.Embedding(target_vocabulary_size, embedding_dim, name="target_embedding"),
        "encoder": layers.Bidirectional(gru, name="encoder"),
        "bridge": layers.Dense(units, activation="tanh", name="bridge"),
        "decoder": AttentionRNN(layers.GRUCell(units), attention, name="decoder"),
        "readout": layers.Dense(embedding_dim, activation="tanh", name="readout"),
        "dropout": layers.Dropout(dropout, name="dropout"),
        # float32 whatever the policy: log-probabilities are made of these.
        "logits": layers.Dense(target_vocabulary_size, dtype="float32", name="logits"),
    }


def _encode(parts, source):
    """Source ids to memory `[B, S, 2 units]`, its mask `[B, S]` and the first state `[B, units]`."""
    mask = ops.not_equal(source, PAD_ID)
    embedded = parts["dropout"](parts["source_embedding"](source))
    memory, _, backward_state = parts["encoder"](embedded, mask=mask)
    return parts["dropout"](memory), mask, parts["bridge"](backward_state)


def _predict(parts, attended, embedded):
    """`[.., H + M]` and the embedded previous tokens to logits `[.., V]`."""
    hidden = parts["readout"](ops.concatenate([attended, embedded], axis=-1))
    return parts["logits"](parts["dropout"](hidden))
