"""Pairs held out for validation and test, so that nothing held out occurs among those trained on."""

import random
from collections.abc import Sequence
from typing import NamedTuple

from keras_attn.training.data.pairs import Pair
from keras_attn.training.data.text_files import DataError


class PairsSplit(NamedTuple):
    """Three parts of a list of pairs that share neither a source nor a target."""

    train: list[Pair]
    validation: list[Pair]
    test: list[Pair]


def split_pairs(
    pairs: Sequence[Pair], validation_size: int | float, test_size: int | float, seed: int = 0
) -> PairsSplit:
    """Splits pairs into training, validation and test.

    Collections repeat themselves: one sentence with three translations, one answer to ten questions. Pairs
    that share a source or a target, directly or through others, form a group, and a group stays in one part:
    nothing that is held out, on either side, occurs in another part. Groups come in random order; one that is
    larger than the room left is passed over.

    Args:
        pairs: `(source, target)`.
        validation_size: pairs to hold out; an integer is their number, a float below 1 their fraction.
        test_size: the same for test.
        seed: the same seed and pairs give the same parts.

    Returns:
        `PairsSplit(train, validation, test)`, each in the order of `pairs`. A held-out part has the size
        asked for, or less where the groups do not fit into it exactly.

    Raises:
        DataError: if a size is not allowed, leaves nothing to train with, or is smaller than every group.
    """
    rooms = _rooms(validation_size, test_size, seed, len(pairs))
    groups = _groups(pairs)
    generator = random.Random(seed)
    groups.sort(key=lambda _: generator.random())  # `random()` alone gives the same on every Python version
    parts = []
    for name, room in rooms.items():
        taken, groups = _take(groups, room)
        if room and not taken:
            raise DataError(
                f"`{name}` cannot be held out: every group of pairs with common texts is larger. "
                f"Expected at least {min(map(len, groups))} pairs. Received: {room}."
            )
        parts.append(taken)
    train = [index for group in groups for index in group]
    return PairsSplit(*([pairs[index] for index in sorted(part)] for part in (train, *parts)))


def _rooms(validation_size: int | float, test_size: int | float, seed: int, total: int) -> dict[str, int]:
    """Number of pairs to hold out, by the name of the argument."""
    if type(seed) is not int:
        raise DataError(f"`seed` must be an integer. Received: {seed!r}.")
    sizes = {"validation_size": validation_size, "test_size": test_size}
    rooms = {name: _count(name, size, total) for name, size in sizes.items()}
    if sum(rooms.values()) >= total:
        raise DataError(
            f"`validation_size` and `test_size` leave nothing to train with. Expected fewer than {total} "
            f"pairs together. Received: {rooms['validation_size']} and {rooms['test_size']}."
        )
    return rooms


def _count(name: str, size: int | float, total: int) -> int:
    if type(size) is int and size >= 0:
        return size
    if type(size) is float and 0 <= size < 1:
        # A fraction that was asked for is never rounded to nothing.
        return max(1, round(size * total)) if size else 0
    raise DataError(
        f"`{name}` must be a number of pairs or a fraction of them. "
        f"Expected an integer of at least 0 or a float below 1. Received: {size!r}."
    )


def _groups(pairs: Sequence[Pair]) -> list[list[int]]:
    """Indices of pairs that share a text on either side, directly or through other pairs (union-find)."""
    parents = list(range(len(pairs)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = index = parents[parents[index]]
        return index

    first_with: dict[tuple[int, str], int] = {}
    for index, pair in enumerate(pairs):
        for side_and_text in enumerate(pair):
            parents[root(index)] = root(first_with.setdefault(side_and_text, index))
    groups: dict[int, list[int]] = {}
    for index in range(len(pairs)):
        groups.setdefault(root(index), []).append(index)
    return list(groups.values())


def _take(groups: list[list[int]], room: int) -> tuple[list[int], list[list[int]]]:
    """Indices of the first groups that fit into the room, and the groups that are left."""
    taken: list[int] = []
    left: list[list[int]] = []
    for group in groups:
        if len(taken) + len(group) <= room:
            taken += group
        else:
            left.append(group)
    return taken, left
