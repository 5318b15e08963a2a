"""`keras-attn deploy`."""

import re
import shlex
from pathlib import Path

import click

_KINDS = ("compose", "kubernetes", "kserve")


@click.command("deploy")
@click.argument("export", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--kind", type=click.Choice(_KINDS), required=True)
@click.option("--output", type=click.Path(file_okay=False, path_type=Path), required=True)
@click.option("--name", help="Of the model in requests. Default: the base path's.")
@click.option(
    "--image", help="Of the server. Default: the newest tensorflow/serving that is known to run it."
)
@click.option("--cpus", type=click.IntRange(min=1), default=2, show_default=True, help="Cores of one server.")
@click.option("--force", is_flag=True, help="Write over files of other content.")
@click.option("--storage-uri", metavar="URI", help="Where KServe finds the base path. Default: a claim.")
def command(export, kind, output, force, **options):
    """Write the files that run EXPORT, a version or a base path, in the stock TensorFlow Serving image."""
    if options["storage_uri"] and kind != "kserve":
        raise click.UsageError("--storage-uri is of kserve.")
    from keras_attn.serving.deploy import deployment_files

    try:
        files = deployment_files(kind, _target(kind, export, **options))
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    if not force:
        _check_overwriting(output, files)
    output.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (output / name).write_text(text, encoding="utf-8")
        click.echo(f"Wrote {output / name}")
    start = "docker compose -f {} up --wait" if kind == "compose" else "kubectl apply -f {}"
    click.echo(f"Next: {start.format(shlex.quote(str(output / f'{kind}.yaml')))}")


def _check_overwriting(output, files):
    others = [
        name
        for name, text in files.items()
        if (output / name).exists() and (output / name).read_bytes() != text.encode()
    ]
    if others:
        raise click.ClickException(
            f"{output} holds {', '.join(others)} with other content, perhaps edited by hand. "
            "Give another --output, or --force to write over it."
        )


def _target(kind, export, name, image, cpus, storage_uri):
    from keras_attn.export.version_files import BATCHING_PATH, read_manifest
    from keras_attn.serving.deploy import Target
    from keras_attn.serving.deploy.graph_size import graph_size

    folder = _version(export)
    if kind == "compose":
        _check_link(folder)
    manifest = read_manifest(folder)
    base_path, size = folder.parent, graph_size(folder, manifest)
    target = Target(
        model_name=name or base_path.name,
        base_path=str(base_path),
        num_bytes=sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()),
        graph_bytes=size.graph,
        constant_bytes=size.constants,
        batching=(folder / BATCHING_PATH).read_text(encoding="utf-8"),
        cpus=cpus,
        storage_uri=storage_uri or "",
        **({"image": image} if image else {}),
    )
    _check_image(target.image, manifest["least_server_version"])
    return target


def _version(export):
    """The version to deploy: in the folder that is its base path, under the name that it has there."""
    from keras_attn.export.version_files import version_folder

    folder = version_folder(export).absolute()
    while folder.is_symlink() and not folder.name.isdecimal():  # such as `current`: stands for a version
        folder = folder.parent / folder.readlink()
    # A version itself may be a link: what it leads to lies in no base path, and has no number for a name.
    return folder.parent.resolve() / folder.name if folder.name.isdecimal() else folder.resolve()


def _check_link(folder):
    """Refuses a version that the container would not find, as a server would wait for it for ever.

    Compose mounts the base path alone, under another name. Kubernetes mounts a claim that versions are copied
    to, and a copy may follow the link.
    """
    if not folder.is_symlink():
        return
    target, base_path = folder.readlink(), folder.parent
    if target.is_absolute() or not folder.resolve().is_relative_to(base_path):
        raise click.ClickException(
            f"{folder} is a link to {target}, which is not there in the container: {base_path} alone is "
            "mounted. Expected a folder. Put the version itself there, for example by a copy and a rename."
        )


def _check_image(image, least):
    """Refuses an image that lacks ops of the export, by its tag; what others hold is the user's to know."""
    tag = re.search(r":(\d+)\.(\d+)[^/]*$", image)
    if tag and tuple(map(int, tag.groups())) < tuple(map(int, least.split("."))):
        raise click.ClickException(
            f"The image lacks ops of this export. Expected TensorFlow Serving {least} or newer. "
            f"Received: {image}. Give another one with --image."
        )
