"""Refuses arguments that a model's constructor does not have: Keras ignores those that are left over."""

import inspect
from difflib import get_close_matches

_OF_KERAS = ("name", "trainable")


def check_known(model_class, others):
    """Checks that the arguments beside a constructor's own are those of `keras.Model`.

    Args:
        model_class: the class of the model.
        others: a dictionary, the constructor's `**kwargs`.

    Raises:
        TypeError: names the unknown argument, and the one that was probably meant.
    """
    for name in others:
        if name in _OF_KERAS:
            continue
        own = [key for key in inspect.signature(model_class).parameters if key != "kwargs"]
        similar = get_close_matches(name, own, n=1)
        meant = f" Did you mean `{similar[0]}`?" if similar else ""
        raise TypeError(
            f"`{model_class.__name__}` has no argument `{name}`.{meant} Expected some of "
            f"{', '.join([*own, *_OF_KERAS])}. Received: {name}={others[name]!r}."
        )
