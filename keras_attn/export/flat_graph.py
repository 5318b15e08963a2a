"""Rewrites the graph of a SavedModel so that each signature consists of nodes of its own.

`tf.saved_model.save` writes signatures as calls of functions that call functions. A Session optimises the
graph at the first run of every signature, and copies the whole library of functions in each pass: most of
the time that a server needs to load an export. Here the calls are inlined and the loops lowered once, at
export, and equal nodes are merged; a Session then optimises the nodes of the signature that it runs.
"""

from pathlib import Path

from tensorflow.core.protobuf import config_pb2, meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework.meta_graph import strip_graph_default_valued_attrs
from tensorflow.python.grappler import tf_optimizer

# Passes whose result every server runs. Fusing operations is left to the server: it depends on the processor.
_INLINING = ("function",)
_MERGING = "common_subgraph_elimination"
_CLEANING = ("pruning", _MERGING, "shape", "constfold", "arithmetic", "dependency", _MERGING)
# Tells a server of this library that the graph has been through these passes.
OPTIMIZED = "keras_attn_optimized"
_CONTROL_FLOW = {"Switch", "Merge", "Enter", "Exit", "NextIteration", "LoopCond"}


def flatten(folder):
    """Inlines the functions of a SavedModel, lowers its loops, and merges equal nodes.

    The result is a SavedModel without the objects of TensorFlow 2: `tf.saved_model.load` restores its
    signatures, which take every input, and a Session loads it as before.

    Args:
        folder: the folder of the version, with its `saved_model.pb`, which is replaced.
    """
    path = Path(folder) / "saved_model.pb"
    saved = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    (meta_graph,) = saved.meta_graphs
    endpoints = _endpoints(meta_graph)
    graph = _optimized(meta_graph.graph_def, meta_graph.signature_def, endpoints, _INLINING)
    _free_constants(graph)
    meta_graph.graph_def.CopyFrom(_optimized(graph, meta_graph.signature_def, endpoints, _CLEANING))
    strip_graph_default_valued_attrs(meta_graph)  # an older server need not know what has its default
    # The objects refer to functions that are gone; the fingerprint is that of the graph before.
    meta_graph.ClearField("object_graph_def")
    meta_graph.collection_def[OPTIMIZED].bytes_list.value.extend(
        name.encode() for name in (*_INLINING, *_CLEANING)
    )
    path.write_bytes(saved.SerializeToString())
    (Path(folder) / "fingerprint.pb").unlink(missing_ok=True)


def _endpoints(meta_graph):
    """Names of the tensors that a server feeds or fetches, those of the checkpoint included."""
    saver = meta_graph.saver_def
    names = {saver.filename_tensor_name, saver.save_tensor_name, saver.restore_op_name}
    for signature in meta_graph.signature_def.values():
        names |= {info.name for infos in (signature.inputs, signature.outputs) for info in infos.values()}
    return sorted(names - {""})


def _optimized(graph, signatures, endpoints, passes):
    # The signatures tell Grappler what is fed: it would take the default of an input for its value.
    work = meta_graph_pb2.MetaGraphDef(graph_def=graph, signature_def=signatures)
    # Grappler keeps the nodes of this collection.
    work.collection_def["train_op"].node_list.value.extend(endpoints)
    settings = config_pb2.ConfigProto()
    rewriting = settings.graph_options.rewrite_options
    rewriting.min_graph_nodes = -1  # small graphs too
    rewriting.meta_optimizer_iterations = rewriting.ONE  # a second one takes as long and finds little
    rewriting.optimizers.extend(passes)
    return tf_optimizer.OptimizeGraph(settings, work)


def _free_constants(graph):
    """Removes what inlining makes constants wait for, so that equal ones of all signatures are merged.

    An inlined constant waits for the arguments of the call through a `NoOp`. In a loop or a branch this says
    where it belongs, and stays.
    """
    nodes = {node.name: node for node in graph.node}
    conditional = _behind_control_flow(graph, nodes)
    for node in graph.node:
        if node.op == "Const":
            kept = [name for name in node.input if nodes[name[1:]].op != "NoOp" or name[1:] in conditional]
            node.input[:] = kept


def _behind_control_flow(graph, nodes):
    """Names of the nodes that depend on a node of control flow."""
    consumers = {name: [] for name in nodes}
    for node in graph.node:
        for name in node.input:
            consumers[name.lstrip("^").split(":")[0]].append(node.name)
    reached = {node.name for node in graph.node if node.op in _CONTROL_FLOW}
    waiting = list(reached)
    while waiting:
        new = [name for name in consumers[waiting.pop()] if name not in reached]
        reached.update(new)
        waiting.extend(new)
    return reached
