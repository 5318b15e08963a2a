"""The base class of all families: configuration, presets, frozen layers, lengths."""

from typing import Any, Self

import keras

from keras_attn.families.presets import PRESETS, preset_settings
from keras_attn.families.registry import family_class
from keras_attn.models.arguments import check_arguments
from keras_attn.typing import Config, Tensor

_NOT_SETTINGS = ("self", "kwargs", "__class__")


class Seq2SeqModel(keras.Model):
    """A functional model of `{"source": [B, S], "target": [B, T]}` int32 ids with logits `[B, T, V]`.

    A family derives from it, gives its constructor's arguments to this one, `super().__init__(locals())`, and
    has `make_parts`, `connect`, `start` and `step` (`keras_attn.protocols.Decoder`). With
    `keras_attn.models.register_family` recipes can name it, with
    `keras.saving.register_keras_serializable` its files load without `custom_objects`.

    Args:
        arguments: `locals()` of the constructor: the settings, the sizes of the vocabularies among them,
            `dtype`, and `kwargs` of `keras.Model`.

    Raises:
        TypeError: for an argument that the constructor does not have.
        ValueError: for a value that the constructor's annotations exclude.
    """

    def __init__(self, arguments: dict[str, Any]):
        kwargs = arguments.get("kwargs", {})
        settings = {name: value for name, value in arguments.items() if name not in _NOT_SETTINGS}
        check_arguments(type(self), settings, kwargs)
        policy = keras.dtype_policies.get(settings.get("dtype") or keras.config.dtype_policy())
        settings = self.plain_settings({**settings, "dtype": policy.name})
        parts = self.make_parts(settings)
        source = keras.Input((None,), dtype="int32", name="source")
        target = keras.Input((None,), dtype="int32", name="target")
        logits = self.connect(parts, settings, source, target)
        super().__init__(inputs={"source": source, "target": target}, outputs=logits, **kwargs)
        self._parts = parts
        # Keras would take the weights of a layer among the settings for the model's.
        self._settings = {name: _without_layer(value) for name, value in settings.items()}

    @staticmethod
    def plain_settings(settings: dict[str, Any]) -> dict[str, Any]:
        """Brings the settings into the form that the configuration holds.

        Args:
            settings: the arguments of the constructor by name; `dtype` is the name of a policy.

        Returns:
            The settings, with lists instead of tuples and names instead of functions.

        Raises:
            ValueError: for settings that do not fit together.
        """
        return settings

    @staticmethod
    def make_parts(settings: dict[str, Any]) -> dict[str, Any]:
        """Makes the layers of the model.

        Args:
            settings: the result of `plain_settings`.

        Returns:
            Layers, or lists and dictionaries of them, by their role.
        """
        raise NotImplementedError

    @staticmethod
    def connect(parts: dict[str, Any], settings: dict[str, Any], source: Tensor, target: Tensor) -> Tensor:
        """Computes the logits of all target positions at once: teacher forcing.

        Args:
            parts: the result of `make_parts`.
            settings: the result of `plain_settings`.
            source: int32 ids `[B, S]`, padded with 0.
            target: int32 ids `[B, T]` that begin with the start token, padded with 0 at the end.

        Returns:
            float32 logits `[B, T, V]`.
        """
        raise NotImplementedError

    @classmethod
    def from_preset(cls, name: str, *vocabulary_sizes: int, **changes: Any) -> Self:
        """Makes a new model of a known size, not trained.

        Args:
            name: one of `keras_attn.families.presets.PRESETS` of this family.
            *vocabulary_sizes: number of source ids and number of target ids.
            **changes: arguments of the constructor that differ from the preset.

        Raises:
            ValueError: for an unknown name, or a preset of another family.

        Example:

        >>> from keras_attn.models import TransformerSeq2Seq
        >>> model = TransformerSeq2Seq.from_preset("transformer_tiny", 19, 23, num_decoder_layers=1)
        >>> model.get_config()["embedding_dim"]
        128
        """
        settings = preset_settings(name)
        family = family_class(settings.pop("kind"))
        if not issubclass(cls, family):
            own = [other for other in PRESETS if issubclass(cls, family_class(PRESETS[other]["kind"]))]
            raise ValueError(
                f"The preset {name!r} is of `{family.__name__}`. Expected one of `{cls.__name__}`: "
                f"{', '.join(own) or 'there is none'}."
            )
        make: Any = cls  # the constructor of a family, not the one above
        return make(*vocabulary_sizes, **{**settings, **changes})

    def fitting_lengths(self, max_source_length: int, max_target_length: int) -> tuple[int, int]:
        """Limits both lengths to the tables of positions, if there are any.

        Args:
            max_source_length: source tokens, the end token not counted.
            max_target_length: target tokens, the end token or the start token counted.

        Returns:
            Both lengths, or the largest that the tables have room for.
        """
        return (
            fitting(max_source_length, self._parts.get("source_positions"), taken=1),
            fitting(max_target_length, self._parts.get("target_positions")),
        )

    def get_config(self) -> Config:
        """The arguments of the constructor, and the names of frozen layers if there are any."""
        frozen = [layer.name for layer in self.layers if not layer.trainable]
        config = {"name": self.name, **self._settings}
        return {**config, "frozen_layers": frozen} if frozen else config

    @classmethod
    def from_config(cls, config: Config, custom_objects: dict[str, Any] | None = None) -> Self:
        """Makes the model of a configuration. Arguments that an older file lacks have their defaults.

        Args:
            config: the result of `get_config`.
            custom_objects: classes and functions by name, for layers and activations that are not registered.
        """
        with keras.saving.custom_object_scope(custom_objects or {}):
            settings = {name: _with_layer(x) for name, x in config.items() if name != "frozen_layers"}
            model = cls(**settings)
        for name in config.get("frozen_layers", ()):
            model.get_layer(name).trainable = False
        return model


def fitting(length: int, layer: Any, taken: int = 0) -> int:
    """Limits a length to the table of a layer.

    Args:
        length: number of tokens.
        layer: the layer that adds positions; one without `max_length`, such as None, has no table.
        taken: positions of the table that others take, such as the end token.
    """
    positions = getattr(layer, "max_length", None)
    return length if positions is None else min(length, positions - taken)


def _without_layer(value):
    is_layer = isinstance(value, keras.layers.Layer)
    return keras.saving.serialize_keras_object(value) if is_layer else value


def _with_layer(value):
    is_layer = isinstance(value, dict) and {"class_name", "config"} <= value.keys()
    return keras.saving.deserialize_keras_object(value) if is_layer else value
