"""A recipe: everything that decides a training run, as frozen dataclasses.

The dataclasses are the whole description; reading, checking, overriding, writing and comparing follow from it
(`section`, `recipe_file`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .model_sections import AnyModel, RecurrentModel, with_preset
from .section import RecipeError, Section, option


@dataclass(frozen=True, kw_only=True)
class PairsSpec(Section):
    """Where pairs of texts are: one TSV or CSV file, or two files aligned by line. See `read_pairs`."""

    path: str = option("")  # CSV where it ends in .csv or .csv.gz, TSV otherwise
    source: str = option("")  # two aligned files instead of `path`
    target: str = option("")
    source_column: int | str = option(0, minimum=0)  # counted from 0; in a CSV file also by name
    target_column: int | str = option(1, minimum=0)

    def check(self) -> None:
        """Holds that exactly one way to find the pairs is given."""
        given = [name for name in ("path", "source", "target") if getattr(self, name)]
        if given not in (["path"], ["source", "target"]):
            raise RecipeError(
                f"must say where the pairs are. Expected either `path` alone or `source` and `target` "
                f"together. Received: {', '.join(given) or 'none of them'}.",
            )


@dataclass(frozen=True, kw_only=True)
class Data(Section):
    """The `[data]` section: the three sets of pairs; where one is absent it is held out of `train`."""

    folder: str = option(".")  # the paths below start here, and it starts at the current directory
    validation_size: int | float = option(0.05, minimum=0)  # pairs, or a fraction of them below 1
    test_size: int | float = option(0.05, minimum=0)
    max_source_length: int = option(256, minimum=1)  # tokens; longer training pairs are left out
    max_target_length: int = option(256, minimum=1)
    train: PairsSpec
    validation: PairsSpec | None = None
    test: PairsSpec | None = None

    def check(self) -> None:
        """Holds that a fraction is one."""
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

    kind: str = option("sentencepiece", choices=("sentencepiece", "characters"))
    vocabulary_size: int = option(8000, minimum=1)
    model_type: str = option("unigram", choices=("unigram", "bpe"))
    shared: bool = option(False)  # one vocabulary for both sides
    character_coverage: float = option(1.0, minimum=0.98, maximum=1.0)  # SentencePiece takes no other
    byte_fallback: bool = option(False)  # unknown characters become bytes


@dataclass(frozen=True, kw_only=True)
class Training(Section):
    """The `[training]` section: what `fit` is given."""

    epochs: int = option(10, minimum=1)
    batch_size: int = option(128, minimum=1)
    learning_rate: float = option(0.001, above=0)
    warmup_steps: int = option(200, minimum=0)
    label_smoothing: float = option(0.1, minimum=0, below=1)
    clip_norm: float = option(1.0, above=0)
    seed: int = option(0, minimum=0)


@dataclass(frozen=True, kw_only=True)
class Decoding(Section):
    """The `[decoding]` section: how long texts may be, in tokens, and how the output is searched for."""

    max_length: int = option(100, minimum=1)  # a longer output is cut
    max_source_length: int = option(1024, minimum=1)  # a longer input is refused
    beam_size: int = option(1, minimum=1)  # 1 is greedy
    length_penalty: float = option(0.6, minimum=0)  # GNMT's alpha, of a beam


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
    model: AnyModel = field(default_factory=RecurrentModel)
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
        """Holds that one vocabulary is asked for where one table serves both sides."""
        shares = getattr(self.model, "share_embeddings", "") in ("inputs", "all")
        if (shares or self.model.kind == "language_model") and not self.tokenizer.shared:
            raise RecipeError(
                "must be true, because the model has one table of embeddings for source and target. "
                "Received: false.",
                "tokenizer.shared",
            )
