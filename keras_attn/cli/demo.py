"""`keras-attn demo`: the whole road on generated dates."""

import json
import shlex
import time
from pathlib import Path

import click

from keras_attn.cli.paths import check_folder

_MODEL = "dates"


@click.command("demo")
@click.option("--run", "run_path", metavar="FOLDER", help="The run folder. Default: runs/demo- and the time.")
@click.option(
    "--set", "overrides", multiple=True, metavar="SECTION.KEY=VALUE", help="Change a value of the recipe."
)
@click.option("--pairs", type=click.IntRange(min=100), default=30_000, show_default=True, help="To train on.")
@click.option("--keep-serving", is_flag=True, help="Leave the server running at the end.")
def command(run_path, overrides, pairs, keep_serving):
    """Learn dates in eight languages, export, serve, ask, and show the attention.

    Generates dates as people write them with their ISO 8601 form, trains a GRU with Bahdanau attention on
    them, and takes it all the way to a server's answers over REST and gRPC.
    """
    from keras_attn.quiet import import_tensorflow
    from keras_attn.training import RunFolder

    run_path = Path(run_path or Path("runs") / time.strftime("demo-%Y%m%d-%H%M%S"))
    check_folder(run_path, "--run")
    recipe = _recipe(run_path / "data", overrides)
    RunFolder(run_path).check(recipe)
    clock = _Clock()
    _say("Importing TensorFlow")
    with clock("start TensorFlow"):
        import_tensorflow()
    with clock("train"):
        run, test = _train(run_path, recipe, pairs)
    with clock("evaluate"):
        text_to_text = run.text_to_text()
        _evaluate(run, text_to_text, test)
    with clock("export"):
        base_path = _export(run, text_to_text)
    _serve(run, text_to_text, base_path, test, keep_serving, clock)
    clock.report()


class _Clock:
    """Measures the parts of the demo."""

    def __init__(self):
        self._parts = []

    def __call__(self, name):
        self._name, self._began = name, time.monotonic()
        return self

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._parts.append((self._name, time.monotonic() - self._began))

    def report(self):
        click.echo("\nTimings")
        for name, seconds in [*self._parts, ("all", sum(seconds for _, seconds in self._parts))]:
            click.echo(f"  {name:<18}{seconds:6.1f} s")


def _train(run_path, recipe, num_pairs):
    """Generates the dates, trains on them, and returns the run and its test pairs."""
    from keras_attn.training import RunFolder, train_recipe
    from keras_attn.training.data.dates import generate_dates
    from keras_attn.training.data.pairs import write_pairs

    _heading("1. Train", f"run folder {run_path}")
    dates = generate_dates(train_size=num_pairs)
    run = RunFolder(run_path)
    run.begin(recipe)
    (run_path / "data").mkdir(exist_ok=True)
    for name, pairs in dates._asdict().items():
        write_pairs(run_path / "data" / f"{name}.tsv", pairs)
    for source, target in dates.train[:3]:
        click.echo(f"  {source}  →  {target}")
    return train_recipe(recipe, run, click.echo), dates.test


def _recipe(data_folder, overrides):
    from importlib.resources import files

    from keras_attn.training import load_recipe

    path = files("keras_attn.training") / "recipes" / "dates.toml"
    return load_recipe(path, [f"data.folder={data_folder.absolute()}", *overrides])


def _evaluate(run, text_to_text, test):
    from keras_attn.training.evaluation.evaluate import evaluate

    _heading("2. Evaluate", f"{len(test)} dates that were in no form among those trained on")
    scores, translations = evaluate(text_to_text, test, run.recipe().evaluation.tokenize)
    run.save_scores("test", scores, test, translations)
    click.echo(f"Exact match: {scores['exact_match']:.2%} of {len(test)}")
    wrong = [(pair, text) for pair, text in zip(test, translations, strict=True) if pair[1] != text]
    for (source, target), translation in wrong[:5]:
        click.echo(f"  wrong: {source}  →  {translation}, expected {target}")


def _export(run, text_to_text):
    from keras_attn.export import export_saved_model

    base_path = (run.path / "export" / _MODEL).absolute()
    _say("Exporting the model, and asking the export")
    path = export_saved_model(text_to_text, base_path)
    _heading("3. Export", f"SavedModel {path}")
    return base_path


def _serve(run, text_to_text, base_path, test, keep_serving, clock):
    from keras_attn.cli.server_process import serving
    from keras_attn.serving import GrpcClient, connect

    questions = _questions(test)
    with (
        serving(_MODEL, base_path, run.path / "server.log") as server,
        connect(server.rest_url, _MODEL) as rest,
        # Closed also after an interrupt: gRPC's threads must not outlive the interpreter.
        GrpcClient(server.grpc_address, _MODEL) as grpc,
    ):
        _say(f"Waiting for the server, which loads and warms up the model; its log: {run.path}/server.log")
        with clock("start the server"):
            server.wait_until_available(rest)
        _heading("4. Serve", f"REST {server.rest_url}, gRPC {server.grpc_address}")
        with clock("ask"):
            _compare(text_to_text, rest, grpc, questions)
        with clock("draw"):
            _draw(run, rest, questions)
        if keep_serving:
            server.keep()
            _how_to_ask(server, questions[0])


def _questions(test):
    """One test date a locale, long forms first: they show most of the attention."""
    longest = {}
    for source, _ in test:
        locale = source.split()[0]
        if len(source) > len(longest.get(locale, "")):
            longest[locale] = source
    return list(longest.values())


def _compare(text_to_text, rest, grpc, questions):
    """Prints the three answers side by side.

    Raises:
        ClickException: if they differ.
    """
    from rich.console import Console
    from rich.table import Table

    eager = [text.decode() for text in text_to_text.translate(questions)["text"].numpy()]
    answers = [eager, *(client.predict({"text": questions})["text"] for client in (rest, grpc))]
    table = Table("question", "eager", "REST", "gRPC")
    for row in zip(questions, *answers, strict=True):
        table.add_row(*row)
    Console().print(table)
    if not answers[0] == answers[1] == answers[2]:
        raise click.ClickException(
            "The answers differ. Expected the same from the model, over REST and over gRPC."
        )
    click.echo("The answers are the same.")


def _draw(run, rest, questions):
    from rich.console import Console

    from keras_attn.visualize import alignment_html, alignment_table
    from keras_attn.visualize.alignment import from_arrays

    arrays = rest.predict({"text": questions}, signature_name="align")
    answered = rest.predict({"text": questions})
    examples = from_arrays(questions, answered["text"], {**arrays, "score": answered["score"]})
    path = run.path / "alignment.html"
    path.write_text(alignment_html(examples, "Where each digit of the date looked"), encoding="utf-8")
    _heading("5. Attention", f"{path.absolute()}")
    shown = [example for example in examples if example.source_text.startswith(("<en_US>", "<ko>"))]
    for example in shown or examples[:1]:
        Console().print(alignment_table(example))


def _how_to_ask(server, question):
    click.echo(f"\nThe server is still running (process {server.pid}). Ask it:")
    body = shlex.quote(json.dumps({"instances": [question]}, ensure_ascii=False))
    click.echo(f"  curl {server.rest_url}/v1/models/{_MODEL}:predict -d {body}")
    click.echo(f"Stop it:\n  kill {server.pid}")


def _say(what):
    """Says what is waited for; on stderr, as it is no result."""
    click.echo(f"{what} ...", err=True)


def _heading(title, detail):
    click.secho(f"\n{title}", bold=True, nl=False)
    click.echo(f"  {detail}")
