"""Which layers of a model are not trained, in its configuration: Keras keeps that in the layers' own."""


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
