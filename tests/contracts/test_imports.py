"""Imports between rooms point one way: read from the source of every file, so that lazy imports count too."""

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
# The wheel's packages and the folders that they come from.
FOLDERS = {
    "keras_attn": ROOT / "keras_attn",
    "keras_attn.training": ROOT / "training",
    "keras_attn.serving": ROOT / "serving",
}
# Rooms from the ground up: a room imports from those above it in this list and from itself, never from those
# below it. A module belongs to the longest name that fits.
ROOMS = (
    "errors",
    "extras",
    "typing",
    "files",
    "lazy",
    "quiet",
    "protocols",
    "families",
    "ops",
    "checks",
    "layers.output_shape",
    "layers.embedding",
    "layers.attention",
    "layers.convolutional",
    "layers.recurrent",
    "layers.transformer",
    "layers",
    "losses",
    "metrics",
    "models",
    "saving",
    "tokenizers",
    "decoding",
    "text_to_text",
    "export.version_files",
    "export.packed",
    "export.service",
    "export.verification",
    "export",
    "visualize",
    "training.errors",
    "training.recipe",
    "training.data",
    "training.batches",
    "training.distribution",
    "training.from_recipe",
    "training.evaluation",
    "training.run",
    "training.callbacks",
    "training.fit",
    "training.run_training",
    "training.run_evaluation",
    "training.run_comparison",
    "serving.errors",
    "serving.sockets",
    "serving.file_system",
    "serving.limits",
    "serving.caller",
    "serving.protos",
    "serving.monitoring",
    "serving.inference",
    "serving.json",
    "serving.models",
    "serving.batching",
    "serving.grpc",
    "serving.rest",
    "serving.server",
    "serving.client",
    "serving.deploy",
    "serving.__main__",
    "cli",
    "__main__",
)
# Run on every backend of Keras.
PURE = ("families", "ops", "checks", "layers", "losses", "metrics", "models", "saving")


def module_files():
    files = {}
    for package, folder in FOLDERS.items():
        for path in sorted(folder.rglob("*.py")):
            parts = path.relative_to(folder).with_suffix("").parts
            parts = parts[:-1] if parts[-1] == "__init__" else parts
            files[".".join((package, *parts))] = path
    return files


FILES = module_files()
TREES = {module: ast.parse(path.read_text(encoding="utf-8")) for module, path in FILES.items()}


def imported(module, nodes):
    """What `import` statements name; `from a import b` counts as `a.b` where that is a module."""
    package = module if FILES[module].name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *filter(None, [node.module])])
            for alias in node.names:
                name = f"{base}.{alias.name}"
                yield name if name in FILES else base


def everything_imported(module):
    return set(imported(module, ast.walk(TREES[module])))


def within(name, *prefixes):
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def offenders(modules, forbidden):
    return {
        module: bad for module in modules if (bad := {x for x in everything_imported(module) if forbidden(x)})
    }


def modules_under(*packages):
    found = [module for module in FILES if within(module, *packages)]
    assert found, packages
    return found


def test_the_reader_sees_the_imports_that_there_are():
    assert len(FILES) > 30
    assert "keras_attn.training.data.encoded_pairs" in everything_imported(
        "keras_attn.training.fit"
    )  # relative
    assert "keras_attn.tokenizers.special_ids" in everything_imported(
        "keras_attn.text_to_text"
    )  # a module by name
    assert "tensorflow_text.python.ops" in everything_imported(
        "keras_attn.tokenizers.sentencepiece"
    )  # inside a function
    assert "keras" in everything_imported("keras_attn.losses")


def room_of(module):
    """The index in `ROOMS`, or None for the empty packages and lists of public names at the very top."""
    names = [name for name in ROOMS if within(module, f"keras_attn.{name}")]
    return ROOMS.index(max(names, key=len)) if names else None


def test_imports_point_up_the_list_of_rooms():
    for module in FILES:
        for name in everything_imported(module) & FILES.keys():
            room, other = room_of(module), room_of(name)
            if room is not None and other is not None:
                assert other <= room, f"{module} ({ROOMS[room]}) imports {name} ({ROOMS[other]})"


def test_every_module_is_in_a_room_and_no_room_is_empty():
    rooms = {module: room_of(module) for module in FILES}
    loose = {module for module, room in rooms.items() if room is None}
    assert loose == {"keras_attn", "keras_attn.training", "keras_attn.serving"}
    assert {*rooms.values()} - {None} == {*range(len(ROOMS))}


@pytest.mark.parametrize("folder", ["keras_attn", "training", "serving", "tests"])
def test_no_folder_has_more_than_25_modules(folder):
    counts = Counter(path.parent for path in (ROOT / folder).rglob("*.py"))
    assert {str(path): count for path, count in counts.items() if count > 25} == {}


def test_training_knows_no_serving():
    assert (
        offenders(modules_under("keras_attn.training"), lambda name: within(name, "keras_attn.serving")) == {}
    )


def test_serving_knows_neither_keras_nor_the_rest_of_the_package():
    known = tuple(f"keras_attn.{name}" for name in ("serving", "errors", "extras", "quiet", "typing"))

    def forbidden(name):
        return within(name, "keras") or (within(name, "keras_attn") and not within(name, *known))

    assert offenders(modules_under("keras_attn.serving"), forbidden) == {}


def test_layers_models_and_losses_run_on_any_backend():
    pure = modules_under(*(f"keras_attn.{name}" for name in PURE))
    foreign = (
        "tensorflow",
        "tensorflow_text",
        "jax",
        "torch",
        "keras_attn.tokenizers",
        "keras_attn.decoding",
        "keras_attn.export",
    )
    found = offenders(pure, lambda name: within(name, *foreign))
    # Only an operation of TensorFlow can raise an error while its graph runs.
    assert found == {"keras_attn.checks.batches": {"tensorflow"}}


def test_decoding_knows_no_layer_and_no_model():
    known = ("keras", "keras_attn.layers", "keras_attn.models", "keras_attn.tokenizers")
    assert offenders(modules_under("keras_attn.decoding"), lambda name: within(name, *known)) == {}


def test_types_import_nothing():
    standard = {"collections.abc", "os", "typing", "keras_attn.typing"}
    for name in ("keras_attn.errors", "keras_attn.typing", "keras_attn.protocols"):
        assert everything_imported(name) <= standard, name


def test_no_cycles_at_module_level():
    graph = {
        module: {name for name in imported(module, top_level(TREES[module])) if name in FILES}
        for module in FILES
    }
    assert len(list(TopologicalSorter(graph).static_order())) == len(FILES)  # raises CycleError


def top_level(tree):
    """Statements that run on import: all but the bodies of functions."""
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            waiting.extend(ast.iter_child_nodes(node))


@pytest.mark.parametrize(
    "statement",
    [
        "import keras_attn",
        "import keras_attn.errors",
        "import keras_attn.protocols",
        "import keras_attn.typing",
        "import keras_attn.training",
    ],
)
def test_importing_the_package_alone_loads_no_framework(run_python, statement):
    script = (
        f"import sys; {statement}; print([x for x in ('tensorflow', 'keras', 'numpy') if x in sys.modules])"
    )
    assert run_python(script).strip() == "[]"


def test_public_names_load_on_first_use():
    import keras_attn

    assert all(getattr(keras_attn, name) for name in keras_attn.__all__)
    assert dir(keras_attn)[:2] == ["SequenceCrossentropy", "TextToText"]


def test_an_unknown_public_name():
    import keras_attn

    with pytest.raises(AttributeError, match=r"has no attribute 'Attention'. Expected one of .*TextToText"):
        _ = keras_attn.Attention
