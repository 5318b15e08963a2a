"""How queries and keys are cut into blocks, and which pairs of blocks a query block has to look at."""

from keras import ops


class Blocks:
    """N blocks of queries and M blocks of keys, both sequences aligned at the end.

    Block i of queries against block j of keys is a tile. Causal attention leaves out the tiles that lie
    wholly in the future, and a tile that lies wholly in the past needs no mask.

    Args:
        num_queries: T, an integer or a scalar tensor.
        num_keys: S, likewise.
        block_size: number of queries, and of keys, in a block; less where a sequence is shorter.
        use_causal_mask: whether a query sees only the keys up to its own position.
        masked: whether there are other masks, so that every tile needs one.
    """

    def __init__(self, num_queries, num_keys, block_size, use_causal_mask, masked):
        self.num_queries, self.num_keys = num_queries, num_keys
        self.rows, self.columns = _shorter(block_size, num_queries), _shorter(block_size, num_keys)
        self.query_blocks = (num_queries + self.rows - 1) // self.rows
        self.key_blocks = (num_keys + self.columns - 1) // self.columns
        self.use_causal_mask = use_causal_mask
        self.masked = masked

    def key_ranges(self, i):
        """For query block i: `(end of the key blocks that need no mask, end of those that it sees)`."""
        i = ops.convert_to_tensor(i)
        first = i * self.rows + self.num_keys - self.num_queries  # position of its first query
        plain, end = 0 if self.masked else self.num_keys // self.columns, self.key_blocks
        if self.use_causal_mask:
            end = ops.clip((first + self.rows - 1) // self.columns + 1, 0, end)
            plain = ops.clip((first + 1) // self.columns, 0, plain)
        return plain, end

    def query_ranges(self, j):
        """For key block j: `(first query block that sees it, first that needs no mask)`."""
        j = ops.convert_to_tensor(j)
        start = j * self.columns + self.num_queries - self.num_keys  # the query at its first key
        needs_mask = ops.logical_or(self.masked, (j + 1) * self.columns > self.num_keys)
        first, plain = 0, ops.where(needs_mask, self.query_blocks, 0)
        if self.use_causal_mask:
            first = ops.clip(start // self.rows, 0, self.query_blocks)
            past = ops.clip((start + self.columns - 2 + self.rows) // self.rows, 0, self.query_blocks)
            plain = ops.maximum(past, plain)
        return first, plain

    def split_queries(self, tensor):
        """`[B, H, T, E]` to `[N, B, H, rows, E]`, zeros after the end."""
        return _split(tensor, self.query_blocks, self.rows, self.num_queries)

    def split_keys(self, tensor):
        """`[B, Hkv, S, E]` to `[M, B, Hkv, columns, E]`, zeros after the end."""
        return _split(tensor, self.key_blocks, self.columns, self.num_keys)

    def join_queries(self, tensor):
        """Undoes `split_queries`."""
        return _join(tensor)[:, :, : self.num_queries]

    def join_keys(self, tensor):
        """Undoes `split_keys`."""
        return _join(tensor)[:, :, : self.num_keys]

    def split_mask(self, mask):
        """Numbers `[B, H, T, S]` or what broadcasts to it to `[N or 1, M, B, H, rows or 1, columns]`."""
        batch, num_heads, num_queries, _ = ops.shape(mask)
        one_row = mask.shape[2] == 1
        blocks, rows, length = (1, 1, 1) if one_row else (self.query_blocks, self.rows, num_queries)
        behind = (blocks * rows - length, self.key_blocks * self.columns - self.num_keys)
        mask = ops.pad(mask, ((0, 0), (0, 0), (0, behind[0]), (0, behind[1])))
        mask = ops.reshape(mask, (batch, num_heads, blocks, rows, self.key_blocks, self.columns))
        return ops.transpose(mask, (2, 4, 0, 1, 3, 5))

    def keep(self, i, j, masks):
        """Which places of a tile count: boolean that broadcasts to `[B, H, rows, columns]`.

        Args:
            i: block of queries.
            j: block of keys.
            masks: each as `split_mask` returned it.
        """
        key_positions = ops.arange(self.columns) + j * self.columns
        keep = ops.expand_dims(key_positions < self.num_keys, 0)
        if self.use_causal_mask:
            positions = ops.arange(self.rows) + (i * self.rows + self.num_keys - self.num_queries)
            keep = ops.logical_and(keep, key_positions <= ops.expand_dims(positions, -1))
        for mask in masks:
            row = ops.take(mask, i if mask.shape[0] != 1 else 0, axis=0)
            keep = ops.logical_and(keep, ops.take(row, j, axis=0) > 0.5)
        return keep


def _shorter(block_size, length):
    if isinstance(length, int):
        return max(min(block_size, length), 1)
    return ops.clip(length, 1, block_size)


def _split(tensor, blocks, size, length):
    batch, num_heads, _, width = ops.shape(tensor)
    tensor = ops.pad(tensor, ((0, 0), (0, 0), (0, blocks * size - length), (0, 0)))
    tensor = ops.reshape(tensor, (batch, num_heads, blocks, size, width))
    return ops.transpose(tensor, (2, 0, 1, 3, 4))


def _join(tensor):
    blocks, batch, num_heads, size, width = ops.shape(tensor)
    return ops.reshape(ops.transpose(tensor, (1, 2, 0, 3, 4)), (batch, num_heads, blocks * size, width))
