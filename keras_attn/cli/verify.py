"""`keras-attn verify`."""

import json
from contextlib import ExitStack
from pathlib import Path

import click

from keras_attn.cli.progress import Progress


@click.command("verify")
@click.argument("export", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--run", type=click.Path(path_type=Path), help="The run folder it came from: asks its model too."
)
@click.option("--checkpoint", default="auto", help="Of the run. Default: the recipe's, as when exporting.")
@click.option(
    "--inputs", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Texts, one a line."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    help="Of numbers, of the larger of 1 and their own size. Default: what rounding makes of such a model.",
)
@click.option("--json", "as_json", is_flag=True, help="Write the report as JSON.")
def command(export, run, checkpoint, inputs, tolerance, as_json):
    """Prove that EXPORT, a version or a base path, answers the same whichever way it is asked.

    The ways: tf.saved_model.load, a Session, and a server over REST and over gRPC; with --run also the model
    itself, without any graph. Every signature is asked with texts from the vocabulary, short and long, and
    with settings that change from row to row. The model is asked once for all texts; each other way for all
    of them, for them in reverse, for some pairs and for some alone, since no answer may depend on what else
    is in its batch. What is streamed has to become what is answered at once. All ops have to be those of
    TensorFlow Serving. Progress goes to stderr, the report to stdout.
    """
    from keras_attn.serving.quiet import import_tensorflow

    if checkpoint != "auto" and not run:
        raise click.UsageError("--checkpoint is of --run: give both.")
    folder = version_folder(export)
    texts = inputs and [line for line in inputs.read_bytes().splitlines() if line.strip()]
    if texts == []:
        raise click.ClickException(f"{inputs} has no text. Expected one a line. Write some, or leave it out.")
    manifest = _manifest(folder)
    if run:
        _check_run(run, checkpoint)
    import_tensorflow()
    report = _verify(folder, manifest, run, checkpoint, texts, tolerance)
    click.echo(json.dumps(report, indent=1, ensure_ascii=False) if as_json else _readable(report))
    if not report["passed"]:
        raise click.exceptions.Exit(1)


def version_folder(path):
    """The version itself, or the highest one of a base path."""
    if (path / "saved_model.pb").exists():
        return path
    versions = [child for child in path.iterdir() if child.name.isdecimal() and child.is_dir()]
    if not versions:
        raise click.ClickException(
            f"{path} holds no SavedModel. Expected a version folder with saved_model.pb, or a base path with "
            "versions. Give what keras-attn export has written."
        )
    return max(versions, key=lambda child: int(child.name))


def _manifest(folder):
    from keras_attn.export.version_files import read_manifest

    manifest = read_manifest(folder)
    if manifest is None:
        raise click.ClickException(
            f"{folder} has no manifest, so that its signatures are not known. Expected an export of this "
            "version of keras-attn. Export the run again."
        )
    return manifest


def _check_run(run, checkpoint):
    from keras_attn.training.run.run_folder import RunFolder

    RunFolder(run).recipe()
    RunFolder(run).model_path(checkpoint)


def _verify(folder, manifest, run, checkpoint, texts, tolerance):
    from keras_attn.export.saved_model import ROUGH_TOLERANCE, ROUGHLY_CHECKED
    from keras_attn.export.verification.backends import disable_xla
    from keras_attn.export.verification.checks import batches_of, check_graph, check_ways
    from keras_attn.export.verification.streams import check_streams
    from keras_attn.export.verification.tolerance import FixedTolerance, read_tolerance

    xla_is_off = disable_xla()
    checks = check_graph(folder)
    is_rough = manifest["packed"] == "bfloat16"
    allowed = None if tolerance is None else FixedTolerance(tolerance)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress())
        eager = [_eager_way(run, checkpoint, manifest)] if run else []
        try:
            written = _written_ways(stack, folder, manifest, progress)
            ways = written if is_rough else eager + written
            requests = _requests(folder, manifest, written[0], texts)
            asked = requests["serving_default"]["text"]
            batches = batches_of(len(asked))
            allowed = allowed or read_tolerance(folder, manifest, asked)
            checks += check_ways(ways, requests, batches, allowed, progress)
            if eager and is_rough:
                scored = {name: requests[name] for name in ROUGHLY_CHECKED}
                checks += check_ways([written[0], *eager], scored, batches, ROUGH_TOLERANCE, progress)[1:]
            if "stream" in manifest["signatures"]:
                for way in written[1:3]:  # Session and REST
                    progress(f"{way.name}: streams")
                    checks.append(check_streams(way, asked, allowed, is_rough))
        except _cannot_load() as error:
            from keras_attn.export.verification.checks import Check

            checks.append(Check("loads and answers", (str(error),)))
    return _report(folder, manifest, checks, _skipped(run, xla_is_off, is_rough), allowed)


def _skipped(run, xla_is_off, is_rough):
    """What was not looked at, and why: a sentence each."""
    from keras_attn.export.saved_model import ROUGH_TOLERANCE

    skipped = []
    if not run:
        skipped.append("eager: give the run folder with --run to ask its model too")
    elif is_rough:
        skipped.append(f"eager: bfloat16 is rounded elsewhere there; scores alone, {ROUGH_TOLERANCE}")
    if not xla_is_off:
        skipped.append("XLA disabled: this platform's TensorFlow has no switch; the op check looked for it")
    return skipped


def _cannot_load():
    import tensorflow as tf

    from keras_attn.cli.server_backends import ServerFailedError

    return (ServerFailedError, tf.errors.OpError, OSError, ValueError)


def _eager_way(run, checkpoint, manifest):
    from keras_attn.export.saved_model import packed_text_to_text
    from keras_attn.export.service.service import Service
    from keras_attn.export.verification.backends import EagerWay
    from keras_attn.training.run.run_folder import RunFolder

    decoding, text_to_text = manifest["decoding"], RunFolder(run).text_to_text(checkpoint)
    if manifest["packed"]:
        text_to_text = packed_text_to_text(text_to_text, manifest["packed"])
    return EagerWay(Service(text_to_text, decoding["n_best_beam_size"], decoding["num_hypotheses"]))


def _written_ways(stack, folder, manifest, progress):
    from keras_attn.cli.server_backends import server_ways
    from keras_attn.export.verification.backends import LoadedWay, SessionWay

    progress(f"loading {folder}: tf.saved_model.load")
    loaded = LoadedWay(folder)
    progress(f"loading {folder}: Session")
    session = SessionWay(folder, manifest["decoding"]["max_length"])
    stack.callback(session.close)
    progress(f"loading {folder}: a server, and its warm-up")
    return [loaded, session, *stack.enter_context(server_ways(folder))]


def _requests(folder, manifest, way, texts):
    from keras_attn.export.assets import load_tokenizer
    from keras_attn.export.verification.requests import example_texts, questions

    tokenizers = [load_tokenizer(folder, manifest, side) for side in ("source", "target")]
    decoding = manifest["decoding"]
    texts = texts or example_texts(tokenizers[0], decoding["max_source_length"])
    questioned = questions(texts, texts[::-1], tokenizers, decoding["max_length"])
    answers = way.ask("serving_default", questioned["serving_default"])["text"]
    questioned = questions(texts, list(answers[::-1]), tokenizers, decoding["max_length"])
    # What `stream_events` answers depends on what was asked before; `check_streams` asks it.
    names = set(manifest["signatures"]) - {"stream_events"}
    return {name: inputs for name, inputs in questioned.items() if name in names}


def _report(folder, manifest, checks, skipped, tolerance):
    return {
        "export": str(folder),
        "passed": all(check.passed for check in checks),
        "checks": [
            {
                "name": check.name,
                "passed": check.passed,
                "count": check.count,
                "num_ties": check.num_ties,
                "is_reference": check.is_reference,
                "problems": list(check.problems),
            }
            for check in checks
        ],
        "skipped": skipped,
        "tolerance": tolerance and tolerance.summary() | {"sentence": str(tolerance)},
        "signatures": sorted(manifest["signatures"]),
        "num_ops": len(manifest["ops"]),
        "least_server_version": manifest["least_server_version"],
    }


def _mark(check):
    if not check["passed"]:
        return "WRONG"
    return "asked" if check["is_reference"] else "same" if check["count"] else "fine"


def _readable(report):
    lines = [
        f"{report['export']}",
        f"  {len(report['signatures'])} signatures: {', '.join(report['signatures'])}",
        f"  {report['num_ops']} ops; TensorFlow Serving {report['least_server_version']} or newer",
    ]
    if report["tolerance"]:  # none where nothing was asked
        lines.append(f"  same is {report['tolerance']['sentence']}")
    lines.append("")
    for check in report["checks"]:
        mark = _mark(check)
        count = f"{check['count']} answers" if check["count"] else ""
        count += f", {check['num_ties']} rows between equals" if check["num_ties"] else ""
        lines.append(f"  {mark:6} {check['name']:34} {count}".rstrip())
        lines += [f"         {problem}" for problem in check["problems"][:5]]
        more = len(check["problems"]) - 5
        lines += [f"         ... and {more} more"] if more > 0 else []
    lines += [f"  -      {sentence}" for sentence in report["skipped"]]
    verdict = "All ways give the same answers." if report["passed"] else "NOT the same, or not to be served."
    return "\n".join([*lines, "", f"  {verdict}"])
