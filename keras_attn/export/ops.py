"""Which ops of a SavedModel the stock TensorFlow Serving binary refuses."""

from pathlib import Path

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

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
# The version that brought an op, of those that could stand in a model of ours; the rest is older.
_SINCE = {
    "2.18": ("CheckPinned", "GlobalShuffleDataset", "IndexFlatMapDataset", "WeightedFlatMapDataset"),
    "2.20": ("DecodeWebP",),
    "2.21": ("CheckPreemption", "DecodeJxl", "MlirPassthroughOp"),
}
_OLDEST = "2.16"


class UnservableOpError(ValueError):
    """A SavedModel holds something that TensorFlow Serving cannot run."""


def check_ops(path):
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


def least_server_version(ops):
    """The oldest TensorFlow Serving that knows all of some ops, of those from 2.16 on.

    Args:
        ops: names of ops.

    Returns:
        E.g. `"2.16"`.
    """
    return max([version for version, names in _SINCE.items() if set(names) & set(ops)], default=_OLDEST)


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
