"""Settings that all sequence-to-sequence models share."""


def fitting(length, layer, taken=0):
    """The length, or less where the layer is a table that has no room for it.

    Args:
        length: number of tokens.
        layer: what adds the positions; None, or without `max_length`, where there is no table.
        taken: places of the table that others take, such as the end token.
    """
    places = getattr(layer, "max_length", None)
    return length if places is None else min(length, places - taken)


def with_frozen_layers(config, model):
    """The configuration, and the names of the model's frozen layers where there are any."""
    frozen = [layer.name for layer in model.layers if not layer.trainable]
    return {**config, "frozen_layers": frozen} if frozen else config


def from_settings(cls, config):
    """A model of settings, with the layers frozen that `with_frozen_layers` named."""
    settings = {name: value for name, value in config.items() if name != "frozen_layers"}
    model = cls(**settings)
    for name in config.get("frozen_layers", ()):
        model.get_layer(name).trainable = False
    return model
