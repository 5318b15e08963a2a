"""Terms of relative positions in one tile of attention, from tables with one row per distance.

Row n of a table belongs to the distance `n - (S - 1)` from query to key; the tables have T + S - 1 rows, so
that no `[T, S]` tensor is needed to hold what depends on the distance alone.
"""

from keras import ops


def skew(tensor, columns):
    """From one number a distance to one a key: `[..., R, R + C]` to `[..., R, C]`.

    `skew(x)[r, c] = x[r, c - r + R - 1]`: query r of a tile finds key c at the distance `c - r`.

    Args:
        tensor: `[B, H, R, R + C]`; the last column is never used.
        columns: C.
    """
    batch, num_heads, rows, width = ops.shape(tensor)
    flat = ops.reshape(tensor, (batch, num_heads, rows * width))[:, :, rows - 1 : rows * width - 1]
    return ops.reshape(flat, (batch, num_heads, rows, width - 1))[..., :columns]


def unskew(tensor):
    """The way back of a gradient through `skew`: `[B, H, R, C]` to `[B, H, R, R + C]`."""
    batch, num_heads, rows, columns = ops.shape(tensor)
    tensor = ops.pad(tensor, ((0, 0), (0, 0), (0, 0), (0, rows - 1)))
    flat = ops.reshape(tensor, (batch, num_heads, rows * (rows + columns - 1)))
    flat = ops.pad(flat, ((0, 0), (0, 0), (rows - 1, 1)))
    return ops.reshape(flat, (batch, num_heads, rows, rows + columns))


class DistanceTerms:
    """The terms of one tile after the other, and their gradients.

    ```
    logits[t, s] += bias[h, s - t] + query[t] · key_vectors[s - t]
    context[t]   += sum_s weights[t, s] value_vectors[s - t]
    ```

    Args:
        blocks: the `Blocks`.
        tables: a dictionary with any of `"bias"` `[T + S - 1, H]`, `"key_vectors"` `[T + S - 1, E]` and
            `"value_vectors"` `[T + S - 1, Ev]`.
    """

    def __init__(self, blocks, tables):
        self.blocks = blocks
        self.front = blocks.query_blocks * blocks.rows - blocks.num_queries
        length = blocks.query_blocks * blocks.rows + blocks.key_blocks * blocks.columns
        used = blocks.num_queries + blocks.num_keys - 1
        self.padding = ((self.front, length - used - self.front), (0, 0))
        self.tables = {name: ops.pad(table, self.padding) for name, table in tables.items()}

    def logits(self, i, j, query):
        """Computes the addend of the logits of tile (i, j), float32 `[B, H or 1, R, C]`; or None."""
        total = None
        if "key_vectors" in self.tables:
            total = ops.matmul(query, ops.transpose(self._rows("key_vectors", i, j, query.dtype)))
        if "bias" in self.tables:
            bias = ops.transpose(self._rows("bias", i, j, "float32"))[None, :, None]  # [1, H, 1, R + C]
            bias = ops.broadcast_to(bias, (1, ops.shape(bias)[1], self.blocks.rows, ops.shape(bias)[-1]))
            total = bias if total is None else ops.cast(total, "float32") + bias
        return None if total is None else ops.cast(skew(total, self.blocks.columns), "float32")

    def context(self, i, j, weights):
        """Computes the addend of the context from the weights `[B, H, R, C]` of tile (i, j); or None."""
        if "value_vectors" not in self.tables:
            return None
        vectors = self._rows("value_vectors", i, j, weights.dtype)
        return ops.cast(ops.matmul(unskew(weights), vectors), "float32")

    def d_weights(self, i, j, upstream):
        """Computes the value vectors' part of the gradient of the weights of tile (i, j); or None."""
        if "value_vectors" not in self.tables:
            return None
        vectors = self._rows("value_vectors", i, j, upstream.dtype)
        return ops.cast(skew(ops.matmul(upstream, ops.transpose(vectors)), self.blocks.columns), "float32")

    def d_query(self, i, j, d_logits):
        """Computes the key vectors' part of the gradient of the queries; or None."""
        if "key_vectors" not in self.tables:
            return None
        return ops.cast(
            ops.matmul(unskew(d_logits), self._rows("key_vectors", i, j, d_logits.dtype)), "float32"
        )

    def no_gradients(self):
        """Zeros, for `add_gradients` to begin with."""
        return {name: ops.zeros(ops.shape(x), dtype="float32") for name, x in self.tables.items()}

    def add_gradients(self, gradients, i, j, query, upstream, weights, d_logits):
        """`gradients` with the part of tile (i, j)."""
        if not gradients:
            return gradients
        by_distance = unskew(d_logits)
        parts = {
            "bias": lambda: ops.transpose(ops.sum(ops.cast(by_distance, "float32"), axis=(0, 2))),
            "key_vectors": lambda: _outer_products(by_distance, query),
            "value_vectors": lambda: _outer_products(unskew(weights), upstream),
        }
        places = ops.expand_dims(self._places(i, j), -1)
        return {
            name: ops.scatter_update(total, places, parts[name](), reduction="add")
            for name, total in gradients.items()
        }

    def cut(self, gradients):
        """Gradients of the tables as they were given, without the rows that padding added."""
        used = self.blocks.num_queries + self.blocks.num_keys - 1
        return {name: x[self.front : self.front + used] for name, x in gradients.items()}

    def _places(self, i, j):
        blocks = self.blocks
        start = j * blocks.columns + (blocks.query_blocks - 1 - i) * blocks.rows
        return ops.arange(blocks.rows + blocks.columns) + start

    def _rows(self, name, i, j, dtype):
        return ops.cast(ops.take(self.tables[name], self._places(i, j), axis=0), dtype)


def _outer_products(by_distance, rows):
    """`sum_{b, h, r} by_distance[b, h, r, n] rows[b, h, r]`, float32 `[R + C, E]`."""
    flat = [ops.reshape(x, (-1, ops.shape(x)[-1])) for x in (by_distance, rows)]
    return ops.cast(ops.matmul(ops.transpose(flat[0]), flat[1]), "float32")
