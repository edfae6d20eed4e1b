"""Claims: read from an ablation's claims.yaml, and evaluated against the runs of its sweep.

A claim never holds for want of evidence: missing runs, an unmeasured quantity and a NaN all count against it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from backscope.analysis.frames import short
from backscope.lab.bands import Band, Tolerance
from backscope.lab.matching import matching
from backscope.lab.measures import OF_RUN, OF_RUNS, Measured
from backscope.lab.predictions import PREDICTIONS
from backscope.lab.registry import Call, LabError, Registry
from backscope.lab.runs import Array, Missing, Run

KEYS = ("claim", "where", "each", "measure", "expect", "predict", "tolerance", "source")


@dataclass(frozen=True)
class Claim:
    """What is claimed of which runs: what is measured there, and a band or a prediction with its tolerance.

    A measure across runs is taken once for all of them, or once for `each` value of some choices.
    """

    claim: str
    where: Mapping[str, Any]
    each: Sequence[str]
    measure: Call
    across_runs: bool
    expect: Band | None
    predict: Call | None
    tolerance: Tolerance | None
    source: str

    @property
    def quantities(self) -> set[str]:
        """Every name that the measure was given, those of quantities among them."""

        def walk(node: Any) -> Iterator[str]:
            for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
                yield from walk(each)
            if isinstance(node, str):
                yield node

        return set(walk(self.measure.given))

    @classmethod
    def parse(cls, node: Any) -> "Claim":
        """The claim of a YAML node.

        Raises LabError for a key, a name or a parameter that does not exist, and for a claim that claims nothing.
        """
        if not isinstance(node, dict) or not {"claim", "measure", "source"} <= node.keys() <= set(KEYS):
            raise LabError(
                f"{str(node)[:60]}: a claim has the keys {', '.join(KEYS)}; claim, measure and source are needed"
            )
        if ("expect" in node) == ("predict" in node) or ("predict" in node) != ("tolerance" in node):
            raise LabError(f"{node['claim']}: needs either `expect`, or `predict` and `tolerance`")
        name = node["measure"] if isinstance(node["measure"], str) else next(iter(node["measure"]), "")
        both = Registry("measure")
        both.update({**OF_RUN, **OF_RUNS})
        return cls(
            claim=node["claim"],
            where=node.get("where") or {},
            each=node.get("each") or (),
            measure=both.call(node["measure"]),
            across_runs=name in OF_RUNS,
            expect=Band.parse(str(node["expect"])) if "expect" in node else None,
            predict=PREDICTIONS.call(node["predict"]) if "predict" in node else None,
            tolerance=Tolerance.parse(node["tolerance"]) if "predict" in node else None,
            source=str(node["source"]),
        )


@dataclass(frozen=True)
class Comparison:
    """One measured number beside its band; of several, the one with the largest `excess` is the worst."""

    measured: float
    predicted: float | None
    holds: bool
    excess: float
    run: str


@dataclass(frozen=True)
class Result:
    """A claim and what became of it: the worst comparison of all, and why it does not hold if there is none.

    `cases` are the runs, or groups of runs, that it was compared for.
    """

    claim: Claim
    worst: Comparison | None
    runs: int
    cases: int
    reason: str = ""

    @property
    def holds(self) -> bool:
        return self.worst is not None and self.worst.holds


@dataclass(frozen=True)
class Ablation:
    """An ablation's claims.yaml: its claims, and its figures by name."""

    name: str
    claims: Sequence[Claim]
    figures: Mapping[str, Any]


def read(path: Path) -> Ablation:
    """The claims of a folder of the lab book.

    Raises LabError, in one line that names file and claim, for what is not allowed.
    """
    file = path / "claims.yaml"
    try:
        node = yaml.safe_load(file.read_text())
    except (OSError, yaml.YAMLError) as error:
        raise LabError(f"{file}: {' '.join(str(error).split())}") from error
    if not isinstance(node, dict) or not node.get("claims") or not node.keys() <= {"claims", "figures"}:
        raise LabError(f"{file}: allowed are the keys claims and figures, and at least one claim")
    claims = []
    for index, each in enumerate(node["claims"], start=1):
        try:
            claims.append(Claim.parse(each))
        except LabError as error:
            raise LabError(f"{file}: claim {index}: {error}") from error
    return Ablation(path.name, claims, node.get("figures") or {})


def evaluate(claim: Claim, runs: Sequence[Run], missing: str = "") -> Result:
    """What became of a claim; `missing` says which runs of the sweep there should be and are not.

    Raises LabError for a claim that cannot be evaluated whatever was measured.
    """
    if missing:
        return Result(claim, None, 0, 0, missing)
    if not runs:
        return Result(claim, None, 0, 0, "missing runs: there are none")
    chosen = matching(runs, claim.where)
    if not chosen:
        return Result(claim, None, 0, 0, "missing runs: none matches")
    cases = _groups(chosen, claim.each) if claim.across_runs else [[run] for run in chosen]
    try:
        compared = [comparison for case in cases for comparison in _compare(claim, case)]
    except Missing as error:
        return Result(claim, None, len(chosen), len(cases), str(error))
    worst = max(reversed(compared), key=lambda each: (not each.holds, each.excess))
    if all(each.excess == worst.excess for each in compared):
        worst = replace(worst, run="")  # none is worse than the others
    return Result(claim, worst, len(chosen), len(cases))


def _groups(runs: Sequence[Run], keys: Sequence[str]) -> list[list[Run]]:
    """The runs that share their values of these choices."""
    groups: dict[tuple[Any, ...], list[Run]] = {}
    for run in runs:
        groups.setdefault(tuple(run.choices.get(key) for key in keys), []).append(run)
    return list(groups.values())


def _compare(claim: Claim, runs: list[Run]) -> list[Comparison]:
    """The comparisons of one case: one, or one for each value that is measured."""
    found = claim.measure(runs if claim.across_runs else runs[0])
    errors: Array | None = None
    if isinstance(found, Measured):
        errors = np.atleast_1d(found.standard_error)
        found = found.value
    values = np.atleast_1d(np.asarray(found, dtype=float))
    shared = ", ".join(f"{short(key)}={runs[0].choices.get(key)}" for key in claim.each)
    name = shared if claim.across_runs else runs[0].name
    if claim.expect is not None:
        band = claim.expect
        return [Comparison(v, None, band.holds(v), band.excess(v), name) for v in values.tolist()]
    predicted = _predicted(claim, runs)
    if predicted.shape not in ((1,), values.shape):
        raise LabError(f"{claim.claim}: {values.size} values measured, {predicted.size} predicted")
    assert claim.tolerance is not None
    compared = []
    for i, value in enumerate(values.tolist()):
        expected = float(predicted[i % len(predicted)])
        excess = claim.tolerance.excess(value, expected, None if errors is None else float(errors[i]))
        compared.append(Comparison(value, expected, excess <= 1, excess, name))
    return compared


def _predicted(claim: Claim, runs: list[Run]) -> Array:
    """The prediction, on which all runs of a comparison across runs must agree."""
    assert claim.predict is not None
    each = [np.atleast_1d(np.asarray(claim.predict(run.config), dtype=float)) for run in runs]
    if any(other.shape != each[0].shape or not np.allclose(other, each[0], rtol=1e-9, atol=0) for other in each):
        raise LabError(f"{claim.claim}: {claim.predict} is not the same for all runs")
    return each[0]
