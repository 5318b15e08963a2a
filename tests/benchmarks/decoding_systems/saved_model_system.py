"""Ours: a Session on the exported graph, as in TensorFlow Serving."""

import tensorflow as tf
from timing import cell, report, sources

v1 = tf.compat.v1


def main(cell):
    config = v1.ConfigProto(intra_op_parallelism_threads=cell.threads, inter_op_parallelism_threads=1)
    with v1.Session(graph=tf.Graph(), config=config) as session, session.graph.as_default():
        path = f"{cell.folder}/{cell.kind}-{cell.size}-{cell.beam}"
        signature = v1.saved_model.load(session, ["serve"], path).signature_def["serving_default"]
        fetches = [signature.outputs[name].name for name in ("tokens", "scores")]
        call = session.make_callable(fetches, feed_list=[signature.inputs["source"].name])
        source = sources(cell)
        report(cell, lambda: call(source)[0].shape[2])


main(cell())
