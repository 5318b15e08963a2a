"""A recipe: everything that decides a training run, as frozen dataclasses.

The dataclasses are the whole description; reading, checking, overriding, writing and comparing follow from it
(`section`, `recipe_file`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from keras_attn.tokenizers.kinds import tokenizer_kinds
from keras_attn.training.recipe.model_sections import ModelSection, model_section, with_preset
from keras_attn.training.recipe.monitors import DECODED, MONITORS
from keras_attn.training.recipe.section import RecipeError, Section, option


@dataclass(frozen=True, kw_only=True)
class PairsSpec(Section):
    """Source of text pairs: a file, two aligned files, or a library's data set. See `read_pairs`."""

    path: str = option("")  # .csv or .jsonl, also .gz; TSV otherwise
    source: str = option("")  # two aligned files instead of `path`
    target: str = option("")
    tfds: str = option("")  # "wmt14_translate/de-en": a data set of TensorFlow Datasets
    hugging_face: str = option("")  # "wmt/wmt14": a data set of the `datasets` library
    config: str = option("")  # of `hugging_face`: which of its configurations
    split: str = option("")  # of `tfds` and `hugging_face`: "train" where nothing is said
    source_column: int | str = option(0, minimum=0)  # counted from 0; by name where columns have names
    target_column: int | str = option(1, minimum=0)

    def check(self) -> None:
        """Checks that exactly one source of pairs is given, and the keys that belong to it."""
        ways = ("path", "source", "target", "tfds", "hugging_face")
        given = [name for name in ways if getattr(self, name)]
        if given not in (["path"], ["source", "target"], ["tfds"], ["hugging_face"]):
            raise RecipeError(
                f"must say where the pairs are. Expected `path`, `source` and `target` together, `tfds` or "
                f"`hugging_face`. Received: {', '.join(given) or 'none of them'}.",
            )
        self._check_sides(given)
        for name, owners in (("split", ["tfds", "hugging_face"]), ("config", ["hugging_face"])):
            if getattr(self, name) and given[0] not in owners:
                raise RecipeError(f"belongs only to {' and '.join(f'`{owner}`' for owner in owners)}.", name)
        for name in ("source_column", "target_column"):
            if given[0] in ("tfds", "hugging_face") and not isinstance(getattr(self, name), str):
                raise RecipeError(
                    f"must name a column of the data set. Expected a string. "
                    f"Received: {getattr(self, name)}.",
                    name,
                )

    def _check_sides(self, given: list[str]) -> None:
        """Checks that source and target differ: a model that learns to copy scores well."""
        columns = (self.source_column, self.target_column)
        if given == ["source", "target"]:
            if columns != (0, 1):
                raise RecipeError("belongs to a table. Aligned files are whole texts.", "source_column")
            same, name = self.source == self.target, "target"
        else:
            same, name = columns[0] == columns[1], "target_column"
        if same:
            raise RecipeError(
                f"must differ from the source. Received: {getattr(self, name)!r} for both sides.", name
            )


@dataclass(frozen=True, kw_only=True)
class Cleaning(Section):
    """The `[data.cleaning]` section: which training pairs are left out. 0 and false leave none out."""

    max_length_ratio: float = option(0.0, minimum=0)  # characters of the longer side to those of the shorter
    max_characters: int = option(0, minimum=0)  # of either side
    duplicates: bool = option(False)  # pairs that came before, both sides the same
    identical: bool = option(False)  # pairs whose target is their source: not translated

    def check(self) -> None:
        """Checks that the ratio is at least 1, or 0 for none."""
        if 0 < self.max_length_ratio < 1:
            raise RecipeError(
                f"divides the longer side by the shorter. Expected 0 for no limit, or at least 1. "
                f"Received: {self.max_length_ratio}.",
                "max_length_ratio",
            )


@dataclass(frozen=True, kw_only=True)
class Data(Section):
    """The `[data]` section: the three sets of pairs; where one is absent it is held out of `train`."""

    folder: str = option(".")  # the paths below start here, and it starts at the current directory
    split_seed: int = option(0, minimum=0)  # which pairs are held out
    validation_size: int | float = option(0.05, minimum=0)  # pairs, or a fraction of them below 1
    test_size: int | float = option(0.05, minimum=0)
    max_source_length: int = option(256, minimum=1)  # tokens; longer pairs count in no loss, see `Decoding`
    max_target_length: int = option(256, minimum=1)
    train: PairsSpec
    validation: PairsSpec | None = None
    test: PairsSpec | None = None
    cleaning: Cleaning = field(default_factory=Cleaning)

    def check(self) -> None:
        """Checks that fractions are below 1."""
        for name in ("validation_size", "test_size"):
            size = getattr(self, name)
            if isinstance(size, float) and size >= 1:
                raise RecipeError(
                    f"is a fraction where it has a decimal point. Expected less than 1.0, or an integer "
                    f"for a number of pairs. Received: {size}.",
                    name,
                )


@dataclass(frozen=True, kw_only=True)
class Tokenizer(Section):
    """The `[tokenizer]` section: how text becomes ids."""

    kind: str = option("sentencepiece", choices=tokenizer_kinds)  # see `register_tokenizer`
    vocabulary_size: int = option(8000, minimum=1)  # the largest number of ids; bytes always have 260
    minimum_count: int = option(1, minimum=1)  # of a word: those that occur less often are unknown
    model_type: str = option("unigram", choices=("unigram", "bpe"))
    shared: bool = option(False)  # one vocabulary for both sides
    character_coverage: float = option(1.0, minimum=0.98, maximum=1.0)  # SentencePiece takes no other
    byte_fallback: bool = option(False)  # unknown characters become bytes


@dataclass(frozen=True, kw_only=True)
class ValidationDecoding(Section):
    """The `[training.validation_decoding]` section: scores of translations while training.

    A sample of the validation pairs is translated as `[decoding]` says, as the model will be served.
    """

    every_epochs: int = option(1, minimum=1)  # and after the last epoch
    sample_size: int = option(200, minimum=1)  # pairs; all of them where there are fewer


@dataclass(frozen=True, kw_only=True)
class Training(Section):
    """The `[training]` section: what `fit` is given. 0 means off where 0 is allowed."""

    epochs: int = option(10, minimum=1)
    batch_size: int = option(128, minimum=1)  # pairs; does not count where batch_tokens does
    batch_tokens: int = option(0, minimum=0)  # B times the larger of S and T, pads included: `TokenBatches`
    accumulate_steps: int = option(1, minimum=1)  # batches an update; their gradients are averaged
    learning_rate: float = option(0.001, above=0)  # the highest one of the schedule
    schedule: str = option("cosine", choices=("cosine", "noam", "inverse_sqrt", "constant"))
    warmup_steps: int = option(200, minimum=0)  # updates
    beta_1: float = option(0.9, minimum=0, below=1)
    beta_2: float = option(0.999, minimum=0, below=1)
    epsilon: float = option(1e-7, above=0)
    weight_decay: float = option(0.0, minimum=0)  # decoupled (AdamW), of all weights
    label_smoothing: float = option(0.1, minimum=0, below=1)
    clip_norm: float = option(1.0, minimum=0)  # of all gradients together
    precision: str = option("float32", choices=("float32", "mixed_bfloat16"))  # of training alone
    ema_momentum: float = option(0.0, minimum=0, below=1)  # a moving average of the weights is what is kept
    average_last: int = option(0, minimum=0)  # `averaged.keras`: the mean of the last epochs' weights,
    average_best: int = option(0, minimum=0)  # or of those with the best `monitor`
    monitor: str = option("val_loss", choices=MONITORS)  # which epoch is the best one
    patience: int = option(0, minimum=0)  # stop after so many measured epochs without a better one
    checkpoint_steps: int = option(0, minimum=0)  # batches between checkpoints inside an epoch
    source_word_dropout: float = option(0.0, minimum=0, below=1)  # words that become unknown
    target_word_dropout: float = option(0.0, minimum=0, below=1)  # in what the decoder reads
    # Other subwords in every epoch: p of BPE-dropout, or alpha of subword regularization (unigram).
    subword_sampling: float = option(0.0, minimum=0, maximum=1)
    # Only in the first so many epochs; 0 is all. Models are used with the usual subwords: end with those.
    subword_sampling_epochs: int = option(0, minimum=0)
    r_drop: float = option(0.0, minimum=0)  # alpha: two passes of every pair that are to agree,
    r_drop_after: int = option(0, minimum=0)  # after so many epochs without: it doubles the work of a step
    devices: str = option("one", choices=("one", "all"))  # of this machine; with JAX of all processes
    tensorboard: bool = option(False)  # event files in `tensorboard/`
    seed: int = option(0, minimum=0, maximum=2**32 - 1)
    validation_decoding: ValidationDecoding | None = None

    def check(self) -> None:
        """Checks that the monitored value is measured, and keys that depend on each other."""
        if self.monitor in DECODED and self.validation_decoding is None:
            raise RecipeError(
                f'is "{self.monitor}", which is measured by decoding. Expected a section '
                "`training.validation_decoding`. Add it, or monitor val_loss.",
                "monitor",
            )
        if self.r_drop_after and not (self.r_drop and self.r_drop_after < self.epochs):
            raise RecipeError(
                f"says when `r_drop` begins. Expected `r_drop` above 0, and less than {self.epochs} epochs. "
                f"Received: {self.r_drop_after}, with `r_drop` = {self.r_drop}.",
                "r_drop_after",
            )
        if self.subword_sampling_epochs and not (
            self.subword_sampling and self.subword_sampling_epochs < self.epochs
        ):
            raise RecipeError(
                "says how long `subword_sampling` lasts. Expected `subword_sampling` above 0, and less than "
                f"{self.epochs} epochs. Received: {self.subword_sampling_epochs}, with `subword_sampling` = "
                f"{self.subword_sampling}.",
                "subword_sampling_epochs",
            )
        if self.devices == "all" and self.accumulate_steps > 1:
            raise RecipeError(
                'must be 1 with `devices` = "all": on TensorFlow devices cannot be synchronised in the '
                "condition that accumulating is, and a run may change its backend. "
                f"Received: {self.accumulate_steps}. Use larger batches.",
                "accumulate_steps",
            )
        if self.average_last and self.average_best:
            raise RecipeError(
                "excludes `average_last`: one average is written. Expected one of both to be 0. "
                f"Received: {self.average_best} and {self.average_last}.",
                "average_best",
            )


@dataclass(frozen=True, kw_only=True)
class Decoding(Section):
    """The `[decoding]` section: how long texts may be, in tokens, and how the output is searched for."""

    max_length: int = option(100, minimum=1)  # a longer output is cut
    max_source_length: int = option(1024, minimum=1)  # a longer input is refused
    beam_size: int = option(1, minimum=1)  # 1 is greedy
    length_penalty: float = option(0.6, minimum=0)  # GNMT's alpha, of a beam
    # Which weights: "auto" is "averaged" where the recipe asks for an average, else "best".
    checkpoint: str = option("auto", choices=("auto", "best", "last", "averaged"))


@dataclass(frozen=True, kw_only=True)
class Evaluation(Section):
    """The `[evaluation]` section: how outputs are compared with references."""

    # sacreBLEU's tokenizer; "char" for languages that do not divide words by spaces
    tokenize: str = option("13a", choices=("13a", "intl", "char", "zh", "none"))


@dataclass(frozen=True, kw_only=True)
class Recipe(Section):
    """A whole recipe.

    >>> recipe = Recipe.from_dict({"data": {"train": {"path": "train.tsv"}}, "training": {"epochs": 3}})
    >>> recipe.training.epochs, recipe.model.units
    (3, 256)
    """

    data: Data
    tokenizer: Tokenizer = field(default_factory=Tokenizer)
    model: ModelSection = field(default_factory=model_section)
    training: Training = field(default_factory=Training)
    decoding: Decoding = field(default_factory=Decoding)
    evaluation: Evaluation = field(default_factory=Evaluation)

    @classmethod
    def expanded(cls, table: Mapping[str, Any]) -> Mapping[str, Any]:
        """Writes out `model.preset`, which says the model's kind and sizes by a name."""
        model = table.get("model")
        if not isinstance(model, Mapping) or "preset" not in model:
            return table
        try:
            return {**table, "model": with_preset(model)}
        except RecipeError as error:
            raise RecipeError(error.problem, f"model.{error.name}") from None

    def check(self) -> None:
        """Checks that both sides share a vocabulary where they share a table of embeddings."""
        shares = getattr(self.model, "share_embeddings", "") in ("inputs", "all")
        if (shares or self.model.one_vocabulary) and not self.tokenizer.shared:
            raise RecipeError(
                "must be true, because the model has one table of embeddings for source and target. "
                "Received: false.",
                "tokenizer.shared",
            )
        if self.training.subword_sampling and self.tokenizer.kind != "sentencepiece":
            raise RecipeError(
                'needs subwords. Expected tokenizer.kind = "sentencepiece". '
                f'Received: "{self.tokenizer.kind}". Change one of both.',
                "training.subword_sampling",
            )
