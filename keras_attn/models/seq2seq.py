"""How long texts may be for a model with tables of positions."""


def fitting(length, layer, taken=0):
    """The length, or less where the layer is a table that has no room for it.

    Args:
        length: number of tokens.
        layer: what adds the positions; None, or without `max_length`, where there is no table.
        taken: places of the table that others take, such as the end token.
    """
    places = getattr(layer, "max_length", None)
    return length if places is None else min(length, places - taken)
