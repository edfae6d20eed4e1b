"""What the lab book has committed of an ablation, and the same found again without touching it."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from backscope.lab import book, claims, sweeps
from backscope.lab.registry import LabError, pick

COMPARED = ("predicted or expected", "measured", "band", "verdict")
VALUES = {"measured": "measured value", "predicted or expected": "predicted value"}


@dataclass(frozen=True)
class Results:
    """The claims of an ablation as results.json has them, and the tags of what made them."""

    claims: Sequence[Mapping[str, Any]]
    made_with: Mapping[str, str]


def read(name: str) -> Results:
    """The committed results of an ablation.

    Raises LabError if there are none.
    """
    path = book.BOOK / pick("ablation", name, {each: each for each in book.names()}) / book.RESULTS
    try:
        return _results(json.loads(path.read_text()))
    except FileNotFoundError:
        raise LabError(f"{path}: missing; `make ablation NAME={name}` writes it") from None
    except (ValueError, KeyError, TypeError) as error:
        raise LabError(f"{path}: not what `make ablation` wrote: {error!r}") from error


def again(name: str) -> Results:
    """Sweep an ablation in a store of its own and evaluate its claims; nothing of it is kept."""
    found = claims.read(book.BOOK / name)
    with tempfile.TemporaryDirectory(prefix="backscope-") as folder:
        overrides = [f"tracking.uri=sqlite:///{folder}/mlflow.db"]
        sweeps.start(name, overrides)
        sweep = sweeps.load(name, overrides)
        results = [claims.evaluate(claim, sweep.runs, sweep.missing) for claim in found.claims]
    page = book.Page(name, results, sweep.jobs, sweep.seconds, [], sweep.provenance)
    return _results(json.loads(book.files(page)[book.RESULTS]))


def _results(node: Any) -> Results:
    keys = {"claim", *COMPARED, "is a time"}
    for claim in node["claims"]:
        if not keys <= claim.keys():
            raise KeyError(*(keys - claim.keys()))
    return Results(node["claims"], dict(node["made with"]))


def differences(recorded: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]], tolerance: float) -> list[str]:
    """The claims that differ, a line each: in a printed digit, or by more than a relative tolerance.

    >>> one = {"claim": "c", "predicted or expected": "> 0", "measured": "2", "band": "", "verdict": "holds"}
    >>> differences([one | {"is a time": False}], [one | {"measured": "3", "is a time": False}], 0)
    ['claim 1, c: measured 2 is committed, 3 now']
    """
    lines = []
    for number, (old, new) in enumerate(zip_longest(recorded, now), start=1):
        name = f"claim {number}, {(old or new or {})['claim']}"
        if old is None or new is None or old["claim"] != new["claim"]:
            lines.append(f"{name}: {'it' if new is None else new['claim']} is {'gone' if new is None else 'new'}")
            continue
        compared = ("verdict",) if new["is a time"] else COMPARED
        changed = [key for key in compared if old[key] != new[key] and not _close(old, new, VALUES.get(key), tolerance)]
        said = [f"{key} {old[key]} is committed, {new[key]} now" for key in changed]
        lines += [f"{name}: {'; '.join(said)}"] if said else []
    return lines


def exact(recorded: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> bool:
    """Whether the numbers of claims that differ in no printed digit are equal to the last bit, too; times aside."""
    untimed = [(old, new) for old, new in zip(recorded, now, strict=True) if not new["is a time"]]
    return all(old.get(key) == new.get(key) for old, new in untimed for key in VALUES.values())


def _close(old: Mapping[str, Any], new: Mapping[str, Any], key: str | None, tolerance: float) -> bool:
    """Whether the numbers of two cells differ by no more than a relative tolerance that was given."""
    one, other = old.get(key or ""), new.get(key or "")
    return one is not None and other is not None and abs(one - other) <= tolerance * max(abs(one), abs(other)) > 0
