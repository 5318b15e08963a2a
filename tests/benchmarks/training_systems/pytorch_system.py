"""PyTorch's own Transformer layers, eager or compiled, dropout where ours has it; bfloat16 by autocast."""

import math

import torch
from timing import CLIP_NORM, EPSILON, LABEL_SMOOTHING, LEARNING_RATE, SIZES, VOCABULARY, batch, cell, report
from torch import nn
from torch.nn import functional


class Transformer(nn.Module):
    """Source and target tables, sinusoids, post-norm layers, and logits by the target's table."""

    def __init__(self, size, length):
        super().__init__()
        settings = SIZES[size]
        width, self.dropout = settings["embedding_dim"], nn.Dropout(settings["dropout"])
        self.source, self.target = (nn.Embedding(VOCABULARY, width) for _ in range(2))
        for table in (self.source, self.target):
            nn.init.normal_(table.weight, std=width**-0.5)
        of_a_layer = {
            "d_model": width,
            "nhead": settings["num_heads"],
            "dim_feedforward": settings["hidden_dim"],
            "dropout": settings["dropout"],
            "layer_norm_eps": EPSILON,
            "batch_first": True,
        }
        self.encoder = nn.ModuleList(
            nn.TransformerEncoderLayer(**of_a_layer) for _ in range(settings["num_encoder_layers"])
        )
        self.decoder = nn.ModuleList(
            nn.TransformerDecoderLayer(**of_a_layer) for _ in range(settings["num_decoder_layers"])
        )
        for layer in [*self.encoder, *self.decoder]:
            _drop_outputs_alone(layer)
        self.register_buffer("positions", sinusoids(length, width))
        self.register_buffer("future", torch.ones(length, length, dtype=torch.bool).triu(1))

    def forward(self, source, target):
        padding = source == 0
        memory = self._embed(self.source, source)
        for layer in self.encoder:
            memory = layer(memory, src_key_padding_mask=padding)
        hidden = self._embed(self.target, target)
        for layer in self.decoder:
            hidden = layer(
                hidden, memory, tgt_mask=self.future, tgt_is_causal=True, memory_key_padding_mask=padding
            )
        return functional.linear(hidden, self.target.weight)

    def _embed(self, table, ids):
        return self.dropout(table(ids) * math.sqrt(table.embedding_dim) + self.positions)


def _drop_outputs_alone(layer):
    """PyTorch's one rate is on the attention weights and inside the feed-forward layer as well."""
    layer.dropout.p = 0.0
    for name in ("self_attn", "multihead_attn"):
        if hasattr(layer, name):
            getattr(layer, name).dropout = 0.0


def sinusoids(length, width):
    """`[T, D]`, sines first."""
    rates = torch.exp(-math.log(10_000) * torch.arange(width // 2) / (width // 2))
    angles = torch.arange(length)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def main(cell):
    torch.set_num_threads(cell.threads)
    torch.manual_seed(7)
    source, target, labels = (torch.from_numpy(ids).long() for ids in batch(cell))
    model = Transformer(cell.size, cell.length)
    adam = torch.optim.Adam(model.parameters(), LEARNING_RATE, eps=1e-7)

    def loss_of(source, target, labels):
        logits = model(source, target).float().flatten(0, 1)
        return functional.cross_entropy(
            logits, labels.flatten(), ignore_index=0, label_smoothing=LABEL_SMOOTHING
        )

    if cell.kind == "compiled":
        loss_of = torch.compile(loss_of)

    def train(steps):
        for _ in range(steps):
            with torch.autocast("cpu", torch.bfloat16, enabled=cell.dtype == "bfloat16"):
                loss = loss_of(source, target, labels)
            adam.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
            adam.step()
        return loss.item()

    report(cell, train)


main(cell())
