"""TransformerSeq2Seq against `torch.nn.Transformer` with copied weights."""

import numpy as np
import pytest

from keras_attn.models import TransformerSeq2Seq

V_SOURCE, V, D, H, HIDDEN = 19, 23, 12, 3, 17
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
TARGET = np.array([[1, 7, 7, 19, 4, 8, 5], [1, 10, 3, 3, 22, 6, 6], [1, 21, 4, 11, 2, 9, 8]], np.int32)


def make(rng, num_encoder_layers=3, num_decoder_layers=2, **settings):
    """A tiny model whose weights are all random, biases and norms too."""
    sizes = {"embedding_dim": D, "num_heads": H, "hidden_dim": HIDDEN, "dropout": 0.0}
    model = TransformerSeq2Seq(
        V_SOURCE,
        V,
        num_encoder_layers=num_encoder_layers,
        num_decoder_layers=num_decoder_layers,
        **sizes,
        **settings,
    )
    for weight in model.trainable_weights:
        numbers, kind = rng.normal(size=weight.shape), weight.path.rsplit("/")[-1]
        spread = {"kernel": 1.5 * weight.shape[0] ** -0.5, "embeddings": 0.5}.get(kind, 0.1)
        weight.assign(spread * numbers + (kind == "gamma"))
    return model


def copy_linear(theirs, ours):
    theirs.weight.copy_(tensor(ours.kernel).T)
    theirs.bias.copy_(tensor(ours.bias))


def copy_norm(theirs, residual):
    norm = getattr(residual, "normalization", residual)
    theirs.weight.copy_(tensor(norm.gamma))
    theirs.bias.copy_(tensor(norm.beta))


def copy_attention(theirs, attention):
    import torch

    ours = [attention.query_projection, attention.key_projection, attention.value_projection]
    theirs.in_proj_weight.copy_(torch.cat([tensor(layer.kernel).T for layer in ours]))
    theirs.in_proj_bias.copy_(torch.cat([tensor(layer.bias) for layer in ours]))
    copy_linear(theirs.out_proj, attention.output_projection)


def tensor(weight):
    import torch

    return torch.from_numpy(weight.numpy())


def copy_block(theirs, block):
    connections = [block.self_attention, block.feed_forward]
    copy_attention(theirs.self_attn, block.self_attention.sublayer)
    if hasattr(block, "cross_attention"):
        connections.insert(1, block.cross_attention)
        copy_attention(theirs.multihead_attn, block.cross_attention.sublayer)
    copy_linear(theirs.linear1, block.feed_forward.sublayer.hidden)
    copy_linear(theirs.linear2, block.feed_forward.sublayer.output_projection)
    for number, connection in enumerate(connections, start=1):
        copy_norm(getattr(theirs, f"norm{number}"), connection)


def torch_twin(torch, model, norm_first):
    """PyTorch's whole Transformer; a final norm only with pre-norm, as ours."""
    settings = {"dropout": 0.0, "batch_first": True, "norm_first": norm_first}
    layer = torch.nn.TransformerEncoderLayer(D, H, HIDDEN, **settings)
    encoder = torch.nn.TransformerEncoder(layer, 3, torch.nn.LayerNorm(D), enable_nested_tensor=False)
    twin = torch.nn.Transformer(D, H, 3, 2, HIDDEN, custom_encoder=encoder, **settings)
    for name, stack in (("encoder", twin.encoder), ("decoder", twin.decoder)):
        for index, layer in enumerate(stack.layers):
            copy_block(layer, model.get_layer(f"{name}_{index}"))
        if norm_first:
            copy_norm(stack.norm, model.get_layer(f"{name}_norm"))
        else:
            stack.norm = None
    return twin.eval()


def sinusoids(length):
    """The paper's, written anew."""
    place, column = np.arange(length)[:, None], np.arange(D)
    angle = place / 10000 ** (2 * (column // 2) / D)
    return np.where(column % 2 == 0, np.sin(angle), np.cos(angle)).astype("float32")


@pytest.mark.parametrize("norm_first", [False, True], ids=["post_norm", "pre_norm"])
def test_against_torch(rng, norm_first):
    torch = pytest.importorskip("torch", reason="PyTorch is an independent implementation")
    model = make(rng, norm_first=norm_first)
    tables = [model.get_layer(f"{side}_embedding").embeddings.numpy() for side in ("source", "target")]
    embedded = [
        torch.from_numpy(table[ids] * np.float32(D**0.5) + sinusoids(ids.shape[1]))
        for table, ids in zip(tables, (SOURCE, TARGET), strict=True)
    ]
    padding = torch.from_numpy(SOURCE == 0)
    future = torch.from_numpy(~np.tri(TARGET.shape[1], dtype=bool))
    with torch.no_grad():
        twin = torch_twin(torch, model, norm_first)
        masks = {"src_key_padding_mask": padding, "memory_key_padding_mask": padding, "tgt_mask": future}
        hidden = twin(*embedded, **masks)
        expected = (hidden @ tensor(model.get_layer("logits").kernel)).numpy()
    logits = model({"source": SOURCE, "target": TARGET})
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=2e-5)
