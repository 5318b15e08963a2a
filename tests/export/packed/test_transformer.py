"""PackedTransformer: the same tokens and numbers as the model, from the same weights, each stored once."""

import re
from itertools import product

import numpy as np
import pytest
import tensorflow as tf

from keras_attn.decoding import BeamSearch, Greedy, decode
from keras_attn.decoding.decoder_state import reordered, spread
from keras_attn.export.packed import products
from keras_attn.export.packed.transformer import PackedTransformer
from keras_attn.export.verification.servable_ops import check_ops
from keras_attn.models import TransformerSeq2Seq

from ...few import few

SOURCE_SIZE, V, D, H, HIDDEN = 29, 23, 15, 3, 17
START, END, LONGEST = 1, 2, 7
SOURCE = np.array([[5, 9, 4, 17, 2], [11, 2, 0, 0, 0], [6, 6, 13, 2, 0]], np.int32)
KINDS = {
    "post_norm": {},
    "pre_norm": {"norm_first": True, "activation": "gelu"},
    "learned": {"positions": "learned", "position_options": {"max_length": 13}, "norm_first": True},
    "no_positions": {"positions": None, "embedding_scale": False, "output_bias": True},
    "rotary": {"positions": "rotary", "embedding_dim": 18},
    "rotary_halves": {
        "positions": "rotary",
        "position_options": {"layout": "half", "base": 77.0},
        "embedding_dim": 12,
        "norm_first": True,
    },
    "halves": {"position_options": {"layout": "halves"}, "alignment_layer": 0, "alignment_heads": [2, 0]},
    "inputs_shared": {"share_embeddings": "inputs"},
    "target_shared": {"share_embeddings": "target", "output_bias": True},
    "all_shared": {"share_embeddings": "all", "norm_first": True},
}
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)
STRATEGIES = {"greedy": Greedy(), "beam": BeamSearch(5, num_hypotheses=3)}


def make(rng, random_biases=True, **settings):
    """A tiny model; biases and norms are random too, or as they are at first."""
    shared = settings.get("share_embeddings") in ("inputs", "all")
    sizes = {"num_encoder_layers": 1, "num_decoder_layers": 2, "embedding_dim": D, "dropout": 0.1}
    sizes |= {"num_heads": H, "hidden_dim": HIDDEN}
    model = TransformerSeq2Seq(V if shared else SOURCE_SIZE, V, **{**sizes, **settings})
    for weight in model.trainable_weights:
        kind = weight.path.rsplit("/")[-1]
        if kind in ("kernel", "embeddings"):
            weight.assign(rng.normal(0, 1.5 * weight.shape[0] ** -0.5, weight.shape))
        elif random_biases:
            weight.assign(rng.normal(kind == "gamma", 0.3, weight.shape))
    return model


def run(decoder, strategy, source=SOURCE):
    return decode(
        decoder,
        tf.convert_to_tensor(source),
        start_id=START,
        end_id=END,
        max_length=LONGEST,
        strategy=strategy,
        return_alignments=True,
    )


def assert_same(decoded, other, atol=1e-4):
    for name in ("tokens", "lengths", "finished"):
        np.testing.assert_array_equal(getattr(decoded, name), getattr(other, name))
    for name in ("log_probs", "scores", "alignments"):
        np.testing.assert_allclose(getattr(decoded, name), getattr(other, name), rtol=1e-5, atol=atol)


@pytest.mark.parametrize(
    ("kind", "strategy"),
    few(product(KINDS, STRATEGIES), ("post_norm", "beam"), ("rotary_halves", "greedy")),
)
def test_decodes_as_the_model(rng, kind, strategy):
    model, strategy = make(rng, **KINDS[kind]), STRATEGIES[strategy]
    assert_same(run(PackedTransformer(model), strategy), run(model, strategy))


@EVERY_KIND
def test_logits_and_alignments_of_every_step(rng, kind):
    model = make(rng, **KINDS[kind])
    packed = PackedTransformer(model)
    source = tf.constant(SOURCE)
    states, memories = zip(*(decoder.start(source) for decoder in (model, packed)), strict=True)
    states = [spread(decoder, state, 3, 7) for decoder, state in zip((model, packed), states, strict=True)]
    for position in range(3):
        tokens = tf.constant(rng.integers(0, V, (3, 7)), tf.int32)
        theirs = model.step(tokens, position, states[0], memories[0])
        ours = packed.step(tokens, position, states[1], memories[1])
        np.testing.assert_allclose(ours.logits, theirs.logits, rtol=0, atol=1e-4)
        np.testing.assert_allclose(ours.alignment, theirs.alignment, rtol=0, atol=1e-5)
        parents = tf.constant(rng.integers(0, 7, (3, 7)), tf.int32)
        states = [reordered(model, theirs.state, parents), reordered(packed, ours.state, parents)]


@pytest.mark.parametrize(
    ("kind", "strategy"),
    few(product(["pre_norm", "rotary", "all_shared"], STRATEGIES), ("rotary", "greedy")),
)
def test_the_products_of_any_number_of_rows_give_the_same(rng, monkeypatch, kind, strategy):
    monkeypatch.setattr(products, "_LAID_OUT_FROM", (0, 0))
    model, strategy = make(rng, **KINDS[kind]), STRATEGIES[strategy]
    packed = PackedTransformer(model)
    signature = [tf.TensorSpec([None, None], tf.int32)]
    decoded = tf.function(lambda source: run(packed, strategy, source), signature, autograph=False)
    for batch in (2, 8, 3, 13):
        source = np.concatenate([SOURCE] * 5)[:batch]
        assert_same(decoded(tf.constant(source)), run(model, strategy, source))


def origin(op):
    """Where the rows of a product come from, through the products before it."""
    while op.type in ("MatMul", "BiasAdd", "Relu"):
        op = op.inputs[0].op
    return op


def test_weights_are_laid_out_for_one_range_of_rows(rng, monkeypatch):
    """oneDNN would do it anew in every call of a product that sees rows of more than one."""
    monkeypatch.setattr(products, "_LAID_OUT_FROM", (0, 0))
    packed = PackedTransformer(make(rng))
    state, memory = packed.start(tf.constant(SOURCE))
    tokens = tf.TensorSpec([None, 1], tf.int32)
    step = tf.function(lambda tokens: packed.step(tokens, 0, state, memory).logits, [tokens], autograph=False)
    with_bias = [op for op in step.get_concrete_function().graph.get_operations() if op.type == "BiasAdd"]
    matmuls = [op.inputs[0].op for op in with_bias]
    assert len(matmuls) == 2 * (2 * 8 + 1)
    assert {origin(matmul).type for matmul in matmuls} == {"Switch"}
    # Where they are small, or come without a range, nothing is laid out.
    monkeypatch.undo()
    packed = PackedTransformer(make(rng))
    for function in (packed.start, lambda tokens: packed.step(tokens, 0, state, memory)):
        graph = tf.function(function, [tokens], autograph=False).get_concrete_function().graph
        assert "BiasAdd" not in {op.type for op in graph.get_operations()}


@pytest.mark.parametrize("kind", few(["pre_norm", "post_norm"], "post_norm"))
def test_hidden_units_in_parts(rng, monkeypatch, kind):
    monkeypatch.setattr(products, "_WIDEST", 4)
    model = make(rng, **KINDS[kind])
    packed = PackedTransformer(model)
    parts = packed._decoder[0][2].parts
    assert [hidden.kernel().shape[1] for hidden, _ in parts] == [4, 4, 3, 3, 3]
    assert_same(run(packed, Greedy()), run(model, Greedy()))


@pytest.mark.parametrize(("weights_of_a_step", "is_laid_out"), [(2**22, False), (2**23, True)])
def test_what_stays_in_the_cache_is_laid_out_from_more_weights_on(weights_of_a_step, is_laid_out):
    chosen = products.products_for("float32", weights_of_a_step)
    dense = products.PackedDense(np.zeros((256, 512), "float32"), np.zeros(512, "float32"), chosen)
    assert dense.depends_on_rows == is_laid_out


def test_padding_changes_nothing(rng):
    packed = PackedTransformer(make(rng))
    padded = np.pad(SOURCE, [[0, 0], [0, 6]])
    decoded, other = run(packed, BeamSearch(3)), run(packed, BeamSearch(3), padded)
    assert_same(decoded, other._replace(alignments=other.alignments[..., :5]))
    assert np.all(other.alignments[..., 5:] == 0)


def test_biases_of_zeros_stay_in_the_graph(rng):
    """Without them the products lose the layout of constant weights."""
    model = make(rng, random_biases=False)
    packed = PackedTransformer(model)
    assert_same(run(packed, Greedy()), run(model, Greedy()))
    assert np.all(packed._logits.bias().numpy() != 0)


@pytest.mark.parametrize("kind", ["pre_norm", "post_norm"])
def test_no_bias_is_added_to_what_reads_normalised_rows(rng, kind):
    packed = PackedTransformer(make(rng, **KINDS[kind]))
    readers = [packed._logits]
    for attention, cross, feed_forward in packed._decoder:
        readers += [*attention.projections.products, cross.query, *cross.memory.products]
        readers += [hidden for hidden, _ in feed_forward.parts]
    with_bias = [dense.negative_bias is not None for dense in readers]
    assert sum(with_bias) == 3 * (kind == "post_norm")  # the embedded tokens, which nothing normalises


@pytest.mark.parametrize("kind", few(["pre_norm", "rotary"], "rotary"))
def test_bfloat16(rng, kind):
    model = make(rng, **{**KINDS[kind], "norm_first": True})
    packed = PackedTransformer(model, "bfloat16")
    _, memory = model.start(tf.constant(SOURCE))
    state, packed_memory = packed.start(tf.constant(SOURCE))
    assert {leaf.dtype for cache in state["caches"] for leaf in cache} == {tf.bfloat16}
    tokens = tf.constant(rng.integers(3, V, (3, 1)), tf.int32)
    ours = packed.step(tokens, 0, state, packed_memory)
    theirs = model.step(tokens, 0, model.start(tf.constant(SOURCE))[0], memory)
    assert ours.logits.dtype == ours.alignment.dtype == tf.float32
    spread = np.std(theirs.logits)
    assert np.max(np.abs(ours.logits - theirs.logits)) < 0.1 * spread
    assert run(packed, BeamSearch(3)).tokens.shape[0] == 3


def test_later_weights_do_not_reach_it(rng):
    model = make(rng)
    packed = PackedTransformer(model)
    before = run(packed, Greedy())
    for weight in model.weights:
        weight.assign(weight * 2)
    assert_same(run(packed, Greedy()), before)


@pytest.mark.parametrize("kind", few(["post_norm", "all_shared"], "all_shared"))
def test_saved_model_holds_each_weight_once_and_no_variable(rng, kind, tmp_path):
    model = make(rng, embedding_dim=123, hidden_dim=331, **KINDS[kind])
    packed = PackedTransformer(model)
    signature = tf.TensorSpec([None, None], tf.int32, name="source")

    def function(strategy):
        def decoded(source):
            result = decode(packed, source, start_id=START, end_id=END, max_length=LONGEST, strategy=strategy)
            return {"tokens": result.tokens, "scores": result.scores}

        return tf.function(decoded, input_signature=[signature], autograph=False)

    signatures = {"greedy": function(Greedy()), "beam": function(BeamSearch(3))}
    tf.saved_model.save(tf.Module(), str(tmp_path), signatures=signatures)
    check_ops(tmp_path)
    size = (tmp_path / "saved_model.pb").stat().st_size
    weights = 4 * sum(np.prod(weight.shape) for weight in model.weights)
    assert weights < size < 1.3 * weights
    names = [name for name, _ in tf.train.list_variables(str(tmp_path / "variables" / "variables"))]
    assert names == ["_CHECKPOINTABLE_OBJECT_GRAPH"]
    loaded = tf.saved_model.load(str(tmp_path))
    for name, strategy in (("greedy", Greedy()), ("beam", BeamSearch(3))):
        answer, expected = loaded.signatures[name](tf.constant(SOURCE)), run(model, strategy)
        np.testing.assert_array_equal(answer["tokens"], expected.tokens)
        np.testing.assert_allclose(answer["scores"], expected.scores, atol=1e-4)


def test_a_row_of_nothing_but_padding(rng):
    packed = PackedTransformer(make(rng))
    with pytest.raises(tf.errors.InvalidArgumentError, match="a row of nothing but padding"):
        packed.start(tf.constant([[5, 2], [0, 0]]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"positions": "t5"}, "this `positions` cannot be packed. .*Received: positions='t5'"),
        ({"num_key_value_heads": 1}, "this `num_key_value_heads` .*Received: num_key_value_heads=1"),
        ({"implementation": "windowed", "window": 2}, "this `window` cannot be packed. .*Received: window=2"),
    ],
)
def test_what_cannot_be_packed(rng, settings, message):
    with pytest.raises(ValueError, match=message):
        PackedTransformer(make(rng, **settings))


def test_other_models_and_dtypes(rng):
    with pytest.raises(ValueError, match=r"Expected a TransformerSeq2Seq\. Received: int"):
        PackedTransformer(7)
    with pytest.raises(ValueError, match=re.escape("`dtype` is unknown. Expected one of ('float32', 'bfl")):
        PackedTransformer(make(rng), "float16")
