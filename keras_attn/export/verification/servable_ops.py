"""Which ops of a SavedModel the stock TensorFlow Serving binary refuses."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_attn.errors import UserError
from keras_attn.typing import StrPath

# XLA ops die at the first request with "XLA compilation disabled" (the binary turns XLA off); Python's ops
# have no kernel outside Python; cuDNN's have none without a GPU.
_REFUSED = {
    "Xla": "TensorFlow Serving runs with XLA disabled",
    "PyFunc": "it runs Python, which TensorFlow Serving does not have",
    "EagerPyFunc": "it runs Python, which TensorFlow Serving does not have",
    "Cudnn": "it needs a GPU",
    "Addons>": "TensorFlow Serving does not link TensorFlow Addons",
}
# What the binary links of tensorflow-text.
_TEXT_OPS = """
ByteSplitByOffsets ByteSplitWithOffsets CaseFoldUTF8 ConstrainedSequence FastBertNormalize
FastWordpieceTokenizeWithOffsets FindSourceOffsets MaxSpanningTree NgramsStringJoin NormalizeUTF8
NormalizeUTF8WithOffsetsMap PhraseTokenize RegexSplitWithOffsets RougeL RoundRobinGenerateMasks
RoundRobinTrim SentenceFragments SentenceFragmentsV2 SentencepieceDetokenizeOp SentencepieceIdToStringOp
SentencepieceOp SentencepieceStringToIdOp SentencepieceTokenizeOp SentencepieceTokenizeWithOffsetsOp
SentencepieceVocabSizeOp SplitMergeTokenizeWithOffsets TFText>BoiseTagsToOffsets
TFText>FastSentencepieceDetokenize TFText>FastSentencepieceTokenize TFText>FastWordpieceDetokenize
TFText>OffsetsToBoiseTags TFText>PhraseDetokenize TokenizerFromLogits UnicodeScriptTokenizeWithOffsets
Utf8Binarize WhitespaceTokenizeWithOffsets WhitespaceTokenizeWithOffsetsV2 WordpieceTokenizeWithOffsets
"""
# What a version brought, after the oldest one: "Op"; "Op.attribute" of an op that was there before;
# "Op.attribute=value" of an attribute that was there before. Without what is for TPUs and XLA alone. From the
# ops that the libraries of these versions register: `make test-servers` lists them.
_SINCE = {
    "2.17": """
        BatchFunction.mixed_priority_policy CalibrationStatisticsSaver CustomAggregator.num_bins
        GatherNd.bad_indices_policy GlobalShuffleDataset IndexFlatMapDataset IteratorGetModelProto
        StringToNumber.out_type=uint32 StringToNumber.out_type=uint64 UpdateTaskIdAndGlobalCoreArray
        WeightedFlatMapDataset
    """,
    "2.18": """
        BatchFunction.batch_padding_policy CheckPinned ExperimentalMapDataset.force_synchronous
        MapDataset.force_synchronous ParallelMapDatasetV2.use_unbounded_threadpool
        ResourceScatterNdAdd.bad_indices_policy ResourceScatterNdMax.bad_indices_policy
        ResourceScatterNdMin.bad_indices_policy ResourceScatterNdSub.bad_indices_policy
        ResourceScatterNdUpdate.bad_indices_policy ScatterNd.bad_indices_policy
        ScatterNdAdd.bad_indices_policy ScatterNdMax.bad_indices_policy ScatterNdMin.bad_indices_policy
        ScatterNdNonAliasingAdd.bad_indices_policy ScatterNdSub.bad_indices_policy
        ScatterNdUpdate.bad_indices_policy TensorScatterAdd.bad_indices_policy
        TensorScatterMax.bad_indices_policy TensorScatterMin.bad_indices_policy
        TensorScatterSub.bad_indices_policy TensorScatterUpdate.bad_indices_policy
    """,
    "2.19": "BatchFunction.mixed_priority_policy=priority_merge",
    "2.20": "DecodeWebP Range.Tidx=uint64 UniformDequantize.Tin=quint8 UniformQuantize.Tout=quint8",
    "2.21": "DecodeJxl TensorListGetItem.Tshape",
}
# The oldest one that exports were tried in.
OLDEST = "2.16"


class UnservableOpError(UserError, ValueError):
    """A SavedModel holds something that TensorFlow Serving cannot run."""


def check_ops(path: StrPath) -> None:
    """Looks at every node of a SavedModel, those inside functions included.

    Args:
        path: the folder that holds `saved_model.pb`.

    Raises:
        UnservableOpError: names each op that TensorFlow Serving refuses, the function it is in, and why.
    """
    saved_model = saved_model_pb2.SavedModel.FromString((Path(path) / "saved_model.pb").read_bytes())
    problems = sorted(
        {problem for meta_graph in saved_model.meta_graphs for problem in _problems(meta_graph.graph_def)}
    )
    if problems:
        raise UnservableOpError("TensorFlow Serving cannot run this SavedModel: " + "; ".join(problems) + ".")


def ops_of(graph_def):
    """The names of all ops of a graph, those inside functions included: a set."""
    return {node.op for _, nodes in _bodies(graph_def) for node in nodes}


def features_of(graph_def):
    """Ops and attributes that a graph needs from the libraries that run it, those inside functions too.

    An attribute that has its default is not written in an export, and needs nothing.

    Args:
        graph_def: a `GraphDef` of a SavedModel.

    Returns:
        A set of `"Op"`, `"Op.attribute"` and, where the value is a dtype or a text, `"Op.attribute=value"`.
    """
    features = set()
    for _, nodes in _bodies(graph_def):
        for node in nodes:
            features.add(node.op)
            for name, attribute in node.attr.items():
                features.add(f"{node.op}.{name}")
                features.update(f"{node.op}.{name}={value}" for value in _values(attribute))
    return features


def least_server_version(features):
    """The oldest TensorFlow Serving that knows all of some features, of those that exports were tried in.

    Args:
        features: of `features_of`.

    Returns:
        E.g. `"2.16"`.
    """
    return max([version for version, new in _SINCE.items() if features & {*new.split()}], default=OLDEST)


def _bodies(graph_def):
    """(where, nodes) of the graph and of each function."""
    yield "the main graph", graph_def.node
    for function in graph_def.library.function:
        yield f"function {function.signature.name}", function.node_def


def _problems(graph_def):
    for function in graph_def.library.function:
        if function.attr["_XlaMustCompile"].b:
            yield f"function {function.signature.name} asks for XLA (`jit_compile=True`)"
    for place, nodes in _bodies(graph_def):
        for node in nodes:
            reason = _reason(node)
            if reason:
                yield f"op {node.op} in {place}: {reason}"
            if "GPU" in node.device:
                yield f"node {node.name} in {place} is pinned to {node.device}"


def _reason(node):
    """Why TensorFlow Serving does not run a node, or None."""
    if node.attr["_XlaMustCompile"].b:
        return "it asks for XLA (`jit_compile=True`)"
    for prefix, reason in _REFUSED.items():
        if node.op.startswith(prefix):
            return reason
    known = node.op.startswith("_") or node.op in _TEXT_OPS.split() or hasattr(tf.raw_ops, node.op)
    return None if known else "TensorFlow Serving does not link it"


def _values(attribute):
    """The names of dtypes, and the texts, of an attribute that is one or a list of them."""
    if attribute.HasField("type"):
        yield tf.dtypes.as_dtype(attribute.type).name
    if attribute.HasField("s"):
        yield attribute.s.decode(errors="replace")
    yield from (tf.dtypes.as_dtype(kind).name for kind in attribute.list.type)
    yield from (text.decode(errors="replace") for text in attribute.list.s)
