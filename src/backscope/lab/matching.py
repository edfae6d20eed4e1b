"""Which runs a claim is about: `where` names choices of the configuration, or predictions, and their values."""

from collections.abc import Mapping, Sequence
from typing import Any

from backscope.lab.bands import Band
from backscope.lab.predictions import PREDICTIONS
from backscope.lab.registry import LabError
from backscope.lab.runs import Run


def matching(runs: Sequence[Run], where: Mapping[str, Any]) -> list[Run]:
    """The runs whose choices are as `where` says: a value, a list of which one must match, or a band (`"<= 40"`).

    A key may be a prediction (`depth_over_scale`), computed from each run's configuration. Raises LabError for a key
    that no run knows.
    """
    for key in where:
        if key not in PREDICTIONS and not any(key in run.choices for run in runs):
            raise LabError(f"where {key}: no such choice in any run, and no such prediction")
    return [run for run in runs if all(_matches(run, key, wanted) for key, wanted in where.items())]


def _matches(run: Run, key: str, wanted: Any) -> bool:
    if key in run.choices:
        value = run.choices[key]
    elif key in PREDICTIONS:
        value = PREDICTIONS[key](run.config)
    else:
        return False
    if isinstance(wanted, list):
        return value in wanted
    if isinstance(wanted, str) and wanted.lstrip()[:1] in "<>=i" and not isinstance(value, str) and value is not None:
        return Band.parse(wanted).holds(float(value))
    return bool(value == wanted)
