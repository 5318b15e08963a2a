"""Policies that choose the versions to serve of those under a base path."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class LatestVersions:
    """The highest version numbers.

    Args:
        count: how many of them.
    """

    count: int = 1

    def choose(self, found: Iterable[int]) -> set[int]:
        """Returns the versions to serve of those that were found."""
        return set(sorted(found)[-self.count :])


@dataclass(frozen=True)
class AllVersions:
    """Every version."""

    def choose(self, found: Iterable[int]) -> set[int]:
        """Returns the versions to serve of those that were found."""
        return set(found)


@dataclass(frozen=True)
class SpecificVersions:
    """Versions by number; one that is not there is not waited for.

    Args:
        versions: their numbers.
    """

    versions: frozenset[int]

    def choose(self, found: Iterable[int]) -> set[int]:
        """Returns the versions to serve of those that were found."""
        return self.versions & set(found)


VersionPolicy = LatestVersions | AllVersions | SpecificVersions
