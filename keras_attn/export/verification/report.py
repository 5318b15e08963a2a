"""Result of a verification, to print and as JSON."""

from dataclasses import asdict
from typing import Any, NamedTuple

from keras_attn.export.verification.checks import Check

_MOST_PROBLEMS = 5  # printed of a check


class Report(NamedTuple):
    """Result of `keras_attn.export.verify`; `print` shows a table.

    Attributes:
        export: the folder of the version.
        checks: a tuple of `Check`.
        skipped: what was not checked and why, a tuple of sentences.
        tolerance: the bound of numbers, a `RoundingTolerance` or `FixedTolerance`; None where no answers were
            compared.
        signatures: their names, a tuple.
        num_ops: number of kinds of ops in the graph.
        least_server_version: the oldest TensorFlow Serving that runs it, such as "2.16".
    """

    export: str
    checks: tuple[Check, ...]
    skipped: tuple[str, ...]
    tolerance: Any
    signatures: tuple[str, ...]
    num_ops: int
    least_server_version: str

    @property
    def passed(self) -> bool:
        """Whether all checks found no problem."""
        return all(check.passed for check in self.checks)

    def summary(self) -> dict[str, Any]:
        """The report as a dictionary that JSON can carry."""
        tolerance = self.tolerance and self.tolerance.summary() | {"sentence": str(self.tolerance)}
        return {
            "export": self.export,
            "passed": self.passed,
            "checks": [
                {"name": check.name, "passed": check.passed, **asdict(check)} for check in self.checks
            ],
            "skipped": list(self.skipped),
            "tolerance": tolerance,
            "signatures": list(self.signatures),
            "num_ops": self.num_ops,
            "least_server_version": self.least_server_version,
        }

    def __str__(self) -> str:
        lines = [
            f"{self.export}",
            f"  {len(self.signatures)} signatures: {', '.join(self.signatures)}",
            f"  {self.num_ops} ops; TensorFlow Serving {self.least_server_version} or newer",
        ]
        if self.tolerance:
            lines.append(f"  same is {self.tolerance}")
        lines.append("")
        lines += [line for check in self.checks for line in _lines(check)]
        lines += [f"  -      {sentence}" for sentence in self.skipped]
        passed = "All ways give the same answers." if self.passed else "NOT the same, or not to be served."
        return "\n".join([*lines, "", f"  {passed}"])


def _lines(check):
    count = f"{check.count} answers" if check.count else ""
    count += f", {check.num_ties} rows between equals" if check.num_ties else ""
    yield f"  {_mark(check):6} {check.name:34} {count}".rstrip()
    yield from (f"         {problem}" for problem in check.problems[:_MOST_PROBLEMS])
    if len(check.problems) > _MOST_PROBLEMS:
        yield f"         ... and {len(check.problems) - _MOST_PROBLEMS} more"


def _mark(check):
    if not check.passed:
        return "WRONG"
    return "asked" if check.is_reference else "same" if check.count else "fine"
