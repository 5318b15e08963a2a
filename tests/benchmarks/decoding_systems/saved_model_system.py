"""Ours: a Session on the exported graph, as in TensorFlow Serving."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf
from timing import cell, report, sources

v1 = tf.compat.v1
# A server has seen other batches before: what was laid out for them must not hold up this one.
OTHER_BATCHES = (1, 12, 80)


def main(cell):
    config = v1.ConfigProto(
        intra_op_parallelism_threads=cell.threads // cell.parts, inter_op_parallelism_threads=cell.parts
    )
    # In parts, every thread runs the ops of its own part.
    options = v1.RunOptions(inter_op_thread_pool=-1 if cell.parts > 1 else 0)
    with (
        ThreadPoolExecutor(cell.parts) as pool,
        v1.Session(graph=tf.Graph(), config=config) as session,
        session.graph.as_default(),
    ):
        path = f"{cell.folder}/{cell.kind}-{cell.size}-{cell.beam}"
        signature = v1.saved_model.load(session, ["serve"], path).signature_def["serving_default"]
        fetches = [signature.outputs[name].name for name in ("tokens", "scores")]
        run = session.make_callable(fetches, [signature.inputs["source"].name], accept_options=True)

        def call(source):
            return run(source, options=options)

        parts = np.array_split(sources(cell), cell.parts)
        for rows in OTHER_BATCHES:
            call(sources(cell._replace(batch=rows)))
        report(cell, lambda: [tokens.shape[2] for tokens, _ in pool.map(call, parts)][-1])


main(cell())
