"""A run folder: the files of one training."""

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keras_attn.files import written_whole
from keras_attn.protocols import Tokenizer
from keras_attn.quiet import import_tensorflow
from keras_attn.training.data.pairs import Pair
from keras_attn.training.errors import RunError
from keras_attn.training.recipe.recipe import Recipe
from keras_attn.training.recipe.toml import differences, dump_recipe, load_recipe
from keras_attn.training.run.best_epoch import History, ranked
from keras_attn.training.run.checkpoints import Checkpoint, Checkpoints
from keras_attn.training.run.lock import locked
from keras_attn.typing import Model, StrPath

if TYPE_CHECKING:  # it imports TensorFlow
    from keras_attn.text_to_text import TextToText

# Files with which another process goes on training.
NEEDED_TO_GO_ON = ("recipe.toml", "tokenizer", "checkpoints", "history.json", "averaged.keras")
# Files made of the recipe and the pairs before the first epoch; `forget` removes them.
_MADE_BEFORE = ("tokenizer", "vocabulary.json", "pairs.json")
_NAMED = ("best", "last", "averaged")


class RunFolder:
    """The files of one run.

    ```
    recipe.toml             the recipe as used, overrides and defaults included; `begin` writes it
    tokenizer/              source.* and target.*: `.model` is SentencePiece, `.json` the others
    checkpoints/            what a training needs to go on, and weights to be averaged: see `Checkpoints`
    best.keras              the model after the epoch with the best `training.monitor`
    averaged.keras          the mean of several epochs' weights: see `average_epochs`
    history.json            one entry an epoch
    history.svg             the same as a picture
    pairs.json              digests of the pairs it began with: see `hold_pairs`
    vocabulary.json         what the vocabularies come to on the pairs, by side
    non_finite.json         the batch that stopped the training, if one did: see `NonFiniteStop`
    tensorboard/            event files, where the recipe asks for them
    scores.json             what `keras-attn evaluate` measured, by part
    translations.test.tsv   source, reference, translation of each test pair
    ```

    Files alone are looked at without TensorFlow and Keras; methods that give or take a model import them.

    Args:
        path: the folder; made by `begin`.
    """

    def __init__(self, path: StrPath):
        self.path = Path(path)
        self.best_path = self.path / "best.keras"
        self.averaged_path = self.path / "averaged.keras"
        self.checkpoints = Checkpoints(self.path / "checkpoints")

    def begin(self, recipe: Recipe) -> None:
        """Makes the folder for `recipe`, or checks that it was made for the same one.

        Where the pairs lie (`data.folder`) may change: `hold_pairs` knows whether they are the same.

        Raises:
            RunError: if the folder holds something else, a run of another recipe, or one whose checkpoints
                are gone.
        """
        self.check(recipe)
        recipe_path = self.path / "recipe.toml"
        if recipe_path.exists():
            own = load_recipe(recipe_path)
            if own == recipe:
                return
            if not self.has_begun() and differences(own, recipe):
                self.forget()
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_text("recipe.toml", dump_recipe(recipe))

    def check(self, recipe: Recipe) -> None:
        """Checks that a run of `recipe` may begin or go on here; changes nothing.

        Raises:
            RunError: as `begin`.
        """
        recipe_path = self.path / "recipe.toml"
        if recipe_path.exists():
            self._check_recipe(load_recipe(recipe_path), recipe)
        # A file whose writing was cut short is hidden and does not count.
        elif self.path.is_dir() and any(not path.name.startswith(".") for path in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and no run folder. Give another --run folder.")

    def _check_recipe(self, own, recipe):
        """Checks that `recipe` may continue this run, whose recipe is `own`."""
        changes = differences(own, recipe)
        if not self.has_begun():
            if (self.path / "recipe.toml").read_text(encoding="utf-8") != dump_recipe(own):
                raise RunError(
                    f"{self.path} holds a recipe.toml that train did not write, and would be overwritten. "
                    "Give another --run folder."
                )
            return
        changes = [change for change in changes if not change.startswith("data.folder:")]
        if changes:
            raise RunError(
                f"{self.path} holds a run of another recipe ({'; '.join(changes)}). "
                "Give another --run folder, or the same recipe to resume."
            )
        # One entry without a checkpoint is left by a kill between the two.
        if self.checkpoint().path is None and len(self.history()) > 1:
            raise RunError(
                f"{self.path} has trained {len(self.history())} epochs, and its checkpoints are gone: it "
                "would begin anew and replace its models. Give another --run folder, or put them back."
            )

    def being_trained(self) -> AbstractContextManager[None]:
        """A context in which no other process of this machine trains in the folder; see `locked`."""
        return locked(self.path)

    def has_begun(self) -> bool:
        """Whether anything has been trained, which another recipe or other pairs could not continue."""
        return bool(self.history() or self.checkpoint().path)

    def forget(self) -> None:
        """Removes what was made of the recipe and the pairs before anything was trained."""
        for path in (self.path / name for name in _MADE_BEFORE):
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)

    def recipe(self) -> Recipe:
        """The recipe of the run.

        Raises:
            RunError: if this is no run folder.
        """
        path = self.path / "recipe.toml"
        if not path.exists():
            raise RunError(
                f"{self.path} is no run folder: it holds no recipe.toml. Expected what train wrote."
            )
        return load_recipe(path)

    def save_tokenizers(self, source: Any, target: Any) -> None:
        """Writes both tokenizers, or none."""
        with written_whole(self.path / "tokenizer") as temporary:
            temporary.mkdir()
            source.save(temporary / "source")
            target.save(temporary / "target")

    def tokenizers(self) -> tuple[Tokenizer, Tokenizer] | None:
        """(source, target) tokenizers, or None before `save_tokenizers`."""
        found = [sorted((self.path / "tokenizer").glob(f"{side}.*")) for side in ("source", "target")]
        if not all(found):
            return None
        from keras_attn.tokenizers import load_tokenizer

        return tuple(load_tokenizer(paths[0]) for paths in found)

    def checkpoint(self) -> Checkpoint:
        """The last `Checkpoint`: number of finished epochs, batches done of the next one, path."""
        return self.checkpoints.latest()

    def save_checkpoint(
        self,
        model: Model,
        epoch: int,
        history: History,
        monitor: str = "val_loss",
        averaged_epochs: Iterable[int] = (),
    ) -> None:
        """Keeps the state after `epoch` epochs, so that a kill at any moment loses none but the running one.

        The history comes first, the checkpoint's name last: a checkpoint that exists is complete.

        Args:
            model: the compiled model.
            epoch: number of finished epochs.
            history: one dictionary an epoch; the best by `monitor` becomes `best.keras`.
            monitor: the value that decides, e.g. `"val_loss"`.
            averaged_epochs: the epochs whose weights are kept, to be averaged.
        """
        from keras_attn.training.run.moving_average import averaged_weights

        with self.checkpoints.saving(model, epoch) as saved:
            self.write_text("history.json", json.dumps(history, indent=1))
            if ranked(history, monitor)[:1] == history[-1:]:
                self._save_best(model, saved)
            with averaged_weights(model):
                self.checkpoints.keep_weights(model, epoch, averaged_epochs)

    def _save_best(self, model, saved):
        from keras_attn.training.run.moving_average import averaged_weights

        with written_whole(self.best_path) as copy, averaged_weights(model) as averaged:
            if averaged:
                model.save(copy)
            else:
                shutil.copyfile(saved, copy)

    def history(self, epochs: int | None = None) -> History:
        """The first `epochs` entries of the history; all of them when None."""
        path = self.path / "history.json"
        if epochs == 0 or not path.exists():
            return []
        return json.loads(path.read_text(encoding="utf-8"))[:epochs]

    def last_model(self) -> Model:
        """The model of the last checkpoint, with the moving average of its weights where it has one.

        Raises:
            RunError: if there is no checkpoint yet.
        """
        path = self.model_path("last")
        import_tensorflow()
        from keras_attn.training.run.models import load_last

        return load_last(path)

    def model(self, checkpoint: StrPath = "auto") -> Model:
        """One of the models of the run, in float32.

        Args:
            checkpoint: as in `model_path`.

        Raises:
            RunError: if it is not there.
        """
        path = self.model_path(checkpoint)
        import_tensorflow()
        from keras_attn.training.run.models import load_last, load_to_decode

        return load_last(path, is_to_decode=True) if self._is_last(checkpoint) else load_to_decode(path)

    def model_path(self, checkpoint: StrPath = "auto") -> Path:
        """The file that holds one of the models of the run; looks, and loads nothing.

        Args:
            checkpoint: `"best"`, `"last"`, `"averaged"`, or the path of a `.keras` file; `"auto"` is what the
                recipe's `decoding.checkpoint` says, and where that is `"auto"` too, `"averaged"` if the
                recipe asks for an average and `"best"` if not.

        Raises:
            RunError: if it is not there.
        """
        if self._is_last(checkpoint):
            path = self.checkpoint().path
            if path is None:
                raise RunError(self._nothing_yet("a checkpoint"))
            return path
        checkpoint = self.checkpoint_name(checkpoint)
        paths = {"best": self.best_path, "averaged": self.averaged_path}
        path = paths.get(checkpoint, Path(checkpoint))
        if not path.exists() and checkpoint in paths:
            raise RunError(self._nothing_yet(path.name))
        if not path.is_file() or path.suffix != ".keras":
            raise RunError(
                f"The checkpoint {path} is no model. Expected one of {', '.join(_NAMED)}, or the path of a "
                ".keras file."
            )
        return path

    def _is_last(self, checkpoint):
        return checkpoint == "last" or self.checkpoint_name(checkpoint) == "last"

    def text_to_text(self, checkpoint: StrPath = "auto", **options: Any) -> "TextToText":
        """A model of the run between its tokenizers.

        Args:
            checkpoint: as in `model_path`.
            **options: what replaces values of the recipe's `[decoding]`, e.g. `beam_size=4`; None replaces
                nothing.

        Raises:
            RunError: if the run has no such model yet.
        """
        recipe = self.recipe()
        model, tokenizers = self.model(checkpoint), self.tokenizers()
        if tokenizers is None:
            raise RunError(self._nothing_yet("tokenizer"))
        from keras_attn.training.evaluation.translator import make_translator

        given = {name: value for name, value in options.items() if value is not None}
        return make_translator(model, tokenizers, replace(recipe.decoding, **given))

    def checkpoint_name(self, checkpoint: StrPath = "auto") -> str:
        """The checkpoint that `"auto"` means; see `model_path`."""
        if str(checkpoint) != "auto":
            return str(checkpoint)
        recipe = self.recipe()
        averages = recipe.training.average_last or recipe.training.average_best
        chosen = recipe.decoding.checkpoint
        return chosen if chosen != "auto" else "averaged" if averages else "best"

    def _nothing_yet(self, name):
        if not self.history():
            return f"{self.path} has no finished epoch yet. Run keras-attn train with the same recipe first."
        return (
            f"{self.path} has no {name} yet. Finish its training (keras-attn train with the same recipe), or "
            "choose another --checkpoint; keras-attn average writes averaged.keras."
        )

    def translations_path(self, part: str) -> Path:
        """The file of a part's translations ("test", "validation")."""
        return self.path / f"translations.{part}.tsv"

    def save_scores(
        self, part: str, scores: Mapping[str, Any], pairs: Sequence[Pair], translations: Sequence[str]
    ) -> None:
        """Writes scores and translations of a part; the scores of other parts stay."""
        path = self.path / "scores.json"
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.write_text("scores.json", json.dumps({**earlier, part: scores}, indent=1))
        rows = ((*pair, text) for pair, text in zip(pairs, translations, strict=True))
        lines = ["\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows]
        self.write_text(self.translations_path(part).name, "".join(lines))

    def translations(self, part: str) -> list[tuple[str, ...]]:
        """Reads the translations of an evaluated part: (source, reference, translation) of each pair.

        Raises:
            RunError: if the part was not evaluated.
        """
        path = self.translations_path(part)
        if not path.exists():
            raise RunError(
                f"{self.path} has no translations of {part}. Run keras-attn evaluate --on {part} first."
            )
        lines = path.read_text(encoding="utf-8").split("\n")[:-1]
        return [tuple(line.split("\t")) for line in lines]

    def write_text(self, name: str, text: str) -> None:
        """Writes a file of the folder whole or not at all."""
        with written_whole(self.path / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
