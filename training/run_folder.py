"""A run folder: all there is to know of a training run."""

import json
import math
import os
import shutil
from pathlib import Path

import keras

# A saved model finds its classes only where these have been imported.
import keras_attn.losses
import keras_attn.metrics
import keras_attn.models  # noqa: F401
from keras_attn.decoding import BeamSearch, GNMTLengthPenalty
from keras_attn.text import CharacterTokenizer, SentencePieceTokenizer
from keras_attn.text_to_text import TextToText

from .recipe_file import differences, dump_recipe, load_recipe

_TOKENIZERS = {".json": CharacterTokenizer, ".model": SentencePieceTokenizer}


class RunError(ValueError):
    """A run folder that cannot be used as asked; the message says why and what to do."""


class RunFolder:
    """The files of one run.

    ```
    recipe.toml             the recipe as used, overrides and defaults included
    tokenizer/              source.* and target.*: `.model` is SentencePiece, `.json` characters
    checkpoints/            epoch-0003.keras: model and optimizer after 3 epochs (only the last one is kept)
    best.keras              the model with the lowest validation loss
    history.json            one entry an epoch
    scores.json             what `keras-attn evaluate` measured, by part
    translations.test.tsv   source, reference, translation of each test pair
    ```

    Args:
        path: the folder; made by `begin`.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.best_path = self.path / "best.keras"

    def begin(self, recipe):
        """Makes the folder for `recipe`, or checks that it was made for the same one.

        Raises:
            RunError: if the folder holds something else, or a run of another recipe.
        """
        recipe_path = self.path / "recipe.toml"
        if recipe_path.exists():
            changes = differences(load_recipe(recipe_path), recipe)
            if changes:
                raise RunError(
                    f"{self.path} holds a run of another recipe ({'; '.join(changes)}). "
                    "Give another --run folder, or the same recipe to resume."
                )
            return
        # A file whose writing was cut short is hidden and does not count.
        if self.path.is_dir() and any(not path.name.startswith(".") for path in self.path.iterdir()):
            raise RunError(f"{self.path} is not empty and no run folder. Give another --run folder.")
        self.path.mkdir(parents=True, exist_ok=True)
        self.write_text("recipe.toml", dump_recipe(recipe))

    def recipe(self):
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

    def save_tokenizers(self, source, target):
        """Writes both tokenizers, or none."""
        temporary = self.path / ".tokenizer"
        temporary.mkdir(exist_ok=True)
        source.save(temporary / "source")
        target.save(temporary / "target")
        temporary.rename(self.path / "tokenizer")

    def tokenizers(self):
        """(source, target) tokenizers, or None before `save_tokenizers`."""
        found = [sorted((self.path / "tokenizer").glob(f"{side}.*")) for side in ("source", "target")]
        if not all(found):
            return None
        return tuple(_TOKENIZERS[paths[0].suffix].load(paths[0]) for paths in found)

    def checkpoint(self):
        """(number of finished epochs, path of their checkpoint), or (0, None)."""
        paths = sorted((self.path / "checkpoints").glob("epoch-*.keras"))
        return (int(paths[-1].stem.removeprefix("epoch-")), paths[-1]) if paths else (0, None)

    def save_checkpoint(self, model, epoch, history):
        """Keeps the state after `epoch` epochs, so that a kill at any moment loses none but the running one.

        The history comes first, the checkpoint's name last: a checkpoint that exists is complete.

        Args:
            model: the compiled model.
            epoch: number of finished epochs.
            history: one dictionary an epoch; the best by `val_loss` becomes `best.keras`.
        """
        folder = self.path / "checkpoints"
        folder.mkdir(exist_ok=True)
        temporary = folder / ".saving.keras"
        model.save(temporary)
        self.write_text("history.json", json.dumps(history, indent=1))
        if min(history, key=lambda entry: (math.isnan(entry["val_loss"]), entry["val_loss"])) is history[-1]:
            copy = folder / ".best.keras"
            shutil.copyfile(temporary, copy)
            os.replace(copy, self.best_path)
        final = folder / f"epoch-{epoch:04d}.keras"
        os.replace(temporary, final)
        for path in folder.glob("epoch-*.keras"):
            if path != final:
                path.unlink()

    def history(self, epochs):
        """The first `epochs` entries of the history."""
        path = self.path / "history.json"
        return json.loads(path.read_text(encoding="utf-8"))[:epochs] if epochs else []

    def text_to_text(self):
        """The best model between its tokenizers.

        Raises:
            RunError: if the run has no finished epoch yet.
        """
        recipe, tokenizers = self.recipe(), self.tokenizers()
        if not self.best_path.exists() or not tokenizers:
            raise RunError(
                f"{self.path} has no finished epoch yet. Run keras-attn train with the same recipe first."
            )
        model = keras.models.load_model(self.best_path, compile=False)
        options = recipe.decoding
        strategy = None  # greedy
        if options.beam_size > 1:
            strategy = BeamSearch(options.beam_size, length_penalty=GNMTLengthPenalty(options.length_penalty))
        return TextToText(model, *tokenizers, options.max_length, options.max_source_length, strategy)

    def translations_path(self, part):
        """Where the translations of a part ("test", "validation") are."""
        return self.path / f"translations.{part}.tsv"

    def save_scores(self, part, scores, pairs, translations):
        """Writes what evaluating a part gave; the scores of other parts stay."""
        path = self.path / "scores.json"
        earlier = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.write_text("scores.json", json.dumps({**earlier, part: scores}, indent=1))
        rows = ((*pair, text) for pair, text in zip(pairs, translations, strict=True))
        lines = ["\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rows]
        self.write_text(self.translations_path(part).name, "".join(lines))

    def write_text(self, name, text):
        """Writes a file of the folder whole or not at all."""
        temporary = self.path / f".{name}.part"
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, self.path / name)
