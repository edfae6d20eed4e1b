"""Domains of parameters: what a value may be, said once in a signature, checked and printed everywhere.

A registry's factories annotate their parameters (`lr: Positive`), and the configuration reads the annotation
to refuse a bad value before anything runs.
"""

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin


@dataclass(frozen=True)
class Interval:
    """The numbers between `low` and `high`; `closed` names the ends that belong to it.

    >>> 0.9 in Interval(0, 1, "left"), 1.0 in Interval(0, 1, "left")
    (True, False)
    >>> print(Interval(0, 1, "left"))
    a number in [0, 1)
    """

    low: float = -math.inf
    high: float = math.inf
    closed: Literal["neither", "left", "right", "both"] = "neither"
    integer: bool = False

    def __contains__(self, value: object) -> bool:
        if isinstance(value, bool) or not isinstance(value, int if self.integer else (int, float)):
            return False
        above = value >= self.low if self.closed in ("left", "both") else value > self.low
        below = value <= self.high if self.closed in ("right", "both") else value < self.high
        return above and below

    def __str__(self) -> str:
        kind = "an integer" if self.integer else "a number"
        if math.isinf(self.low) and math.isinf(self.high):
            return f"a finite {kind.split()[1]}"
        if math.isinf(self.high):
            return f"{kind} {'>=' if self.closed in ('left', 'both') else '>'} {self.low:g}"
        left, right = (
            "[" if self.closed in ("left", "both") else "(",
            "]" if self.closed in ("right", "both") else ")",
        )
        return f"{kind} in {left}{self.low:g}, {self.high:g}{right}"


Finite = Annotated[float, Interval()]
Positive = Annotated[float, Interval(0)]
NonNegative = Annotated[float, Interval(0, closed="left")]
UnitInterval = Annotated[float, Interval(0, 1, "both")]
Decay = Annotated[float, Interval(0, 1, "left")]  # a moving average's memory, or a momentum
Count = Annotated[int, Interval(1, closed="left", integer=True)]
Whole = Annotated[int, Interval(0, closed="left", integer=True)]


def refusal(value: Any, annotation: Any) -> str | None:
    """What the annotation allows, if the value is outside it; None if the value is fine.

    >>> refusal(1.0, Decay)
    'a number in [0, 1)'
    >>> refusal("zeros", Literal["zeros", "normal"]) is None
    True
    """
    options = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return None if value in options[1] else str(options[1])
    if get_origin(annotation) is Literal:
        return None if value in options else f"one of {', '.join(map(str, options))}"
    if annotation is bool:
        return None if isinstance(value, bool) else "true or false"
    refusals = [refusal(value, option) for option in options if option is not type(None)]
    if not refusals or None in refusals or (value is None and type(None) in options):
        return None
    return " or ".join([*filter(None, refusals), *(["null"] if type(None) in options else [])])
