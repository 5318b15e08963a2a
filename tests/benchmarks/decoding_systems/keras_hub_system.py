"""KerasHub: its Transformer layers with caches and its samplers, random weights of its own, graph mode."""

import keras
import keras_hub
import tensorflow as tf
from timing import NEW_TOKENS, SIZES, START, VOCABULARY, cell, report, sources


class Decoder:
    """Embedding, decoder layers and logits as `keras_hub.samplers` call them."""

    def __init__(self, size):
        sizes, self.vocabulary = SIZES[size], VOCABULARY[size]
        self.width, self.num_heads = sizes["embedding_dim"], sizes["num_heads"]
        layers = keras_hub.layers
        self.source, self.target = (
            layers.TokenAndPositionEmbedding(self.vocabulary, NEW_TOKENS + 1, self.width) for _ in range(2)
        )
        self.encoders = [
            layers.TransformerEncoder(sizes["hidden_dim"], self.num_heads)
            for _ in range(sizes["num_encoder_layers"])
        ]
        self.decoders = [
            layers.TransformerDecoder(sizes["hidden_dim"], self.num_heads)
            for _ in range(sizes["num_decoder_layers"])
        ]
        self.logits = keras.layers.Dense(self.vocabulary)

    def encode(self, source):
        rows = self.source(source)
        for layer in self.encoders:
            rows = layer(rows)
        return rows

    def empty_cache(self, batch, length):
        shape = (batch, len(self.decoders), 2, length, self.num_heads, self.width // self.num_heads)
        return keras.ops.zeros(shape)

    def step(self, tokens, memory, own, cross, index, new_cross):
        """One step at `index`; `new_cross` computes the keys and values of the memory."""
        rows = self.target(tokens, start_index=index)
        own_caches, cross_caches = [], []
        for number, layer in enumerate(self.decoders):
            rows, of_layer, of_memory = layer(
                rows,
                memory,
                self_attention_cache=own[:, number],
                self_attention_cache_update_index=index,
                cross_attention_cache=cross[:, number],
                cross_attention_cache_update_index=0 if new_cross else None,
            )
            own_caches.append(of_layer)
            cross_caches.append(of_memory)
        return (
            self.logits(rows)[:, 0],
            rows[:, 0],
            (keras.ops.stack(own_caches, axis=1), keras.ops.stack(cross_caches, axis=1)),
        )


def main(cell):
    tf.config.threading.set_intra_op_parallelism_threads(cell.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    keras.utils.set_random_seed(7)
    model = Decoder(cell.size)
    samplers = keras_hub.samplers
    sampler = samplers.BeamSampler(num_beams=cell.beam) if cell.beam > 1 else samplers.GreedySampler()

    @tf.function(autograph=False)
    def decode(source):
        memory = model.encode(source)
        batch, length = source.shape
        own = model.empty_cache(batch, NEW_TOKENS + 1)
        prompt = keras.ops.full((batch, NEW_TOKENS + 1), START, "int32")
        cross = model.empty_cache(batch, length)
        _, hidden, (_, cross) = model.step(prompt[:, :1], memory, own, cross, 0, True)

        def advance(prompt, cache, index):
            own, memory, cross = cache
            tokens = keras.ops.slice(prompt, (0, index - 1), (prompt.shape[0], 1))
            logits, hidden, (own, cross) = model.step(tokens, memory, own, cross, index - 1, False)
            return logits, hidden, (own, memory, cross)

        return sampler(
            next=advance,
            prompt=prompt,
            cache=(own, memory, cross),
            index=1,
            hidden_states=hidden,
            mask=keras.ops.arange(NEW_TOKENS + 1)[None] < keras.ops.ones((batch, 1), "int32"),
            stop_token_ids=None,
        )

    source = tf.constant(sources(cell))
    report(cell, lambda: decode(source).numpy().shape[1] - 1)


main(cell())
