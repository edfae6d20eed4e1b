"""Bands: where a measured number must lie, as a claim writes it (`"> 0.9"`), or around a prediction (`3 %`, `3 SE`)."""

import math
import operator
import re
from collections.abc import Callable
from dataclasses import dataclass

from backscope.lab.registry import LabError

NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "==": operator.eq, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


@dataclass(frozen=True)
class Band:
    """A statement about a number: `== 0`, `> 0.9`, `<= 1e-7`, `in [0.94, 1.08]`."""

    text: str
    low: float
    high: float
    holds: Callable[[float], bool]

    @classmethod
    def parse(cls, text: str) -> "Band":
        """The band that a text states.

        >>> Band.parse("in [.94, 1.08]").holds(1.0), Band.parse("< .15").holds(0.15)
        (True, False)
        """
        if match := re.fullmatch(rf"(==|>=|<=|>|<)\s*({NUMBER})", text.strip()):
            sign, limit = match[1], float(match[2])
            low = limit if sign in ("==", ">", ">=") else -math.inf
            high = limit if sign in ("==", "<", "<=") else math.inf
            return cls(text, low, high, lambda value: COMPARE[sign](value, limit))
        if match := re.fullmatch(rf"in \[\s*({NUMBER})\s*,\s*({NUMBER})\s*\]", text.strip()):
            low, high = float(match[1]), float(match[2])
            if low < high:
                return cls(text, low, high, lambda value: low <= value <= high)
        raise LabError(f"expect {text!r}: allowed are '== 0', '> 1', '>= 1', '< 1', '<= 1' and 'in [0, 1]'")

    def excess(self, value: float) -> float:
        """How far a value is outside, in units of nothing; negative inside, infinite for what is no number."""
        if math.isnan(value):
            return math.inf
        return max(self.low - value, value - self.high)


@dataclass(frozen=True)
class Tolerance:
    """How far from a prediction a number may be: `3 %` of it, `3 SE` standard errors, a `factor 2`, or so much."""

    amount: float
    unit: str

    @classmethod
    def parse(cls, given: object) -> "Tolerance":
        """The tolerance that a YAML value states.

        >>> Tolerance.parse("50 %").excess(3.0, 2.0), Tolerance.parse("factor 2").excess(4.0, 1.0)
        (1.0, 2.0)
        """
        text = str(given).strip()
        if match := re.fullmatch(rf"factor ({NUMBER})", text):
            if float(match[1]) > 1:
                return cls(float(match[1]), "factor")
        elif (match := re.fullmatch(rf"({NUMBER})\s*(%|SE|)", text)) and float(match[1]) >= 0:
            return cls(float(match[1]), match[2])
        raise LabError(f"tolerance {given!r}: allowed are '3 %', '3 SE', 'factor 2' and a number")

    def excess(self, measured: float, predicted: float, standard_error: float | None = None) -> float:
        """The distance in units of what is tolerated: at most 1 if the claim holds, infinite for what is no number.

        Raises LabError where standard errors are asked for and the measure has none.
        """
        if self.unit == "SE" and standard_error is None:
            raise LabError(f"tolerance {self}: the measure has no standard error")
        if self.unit == "factor":
            ratio = measured / predicted if predicted else math.nan
            return abs(math.log(ratio)) / math.log(self.amount) if ratio > 0 else math.inf
        off, unit = abs(measured - predicted), {"%": abs(predicted) / 100, "SE": standard_error}.get(self.unit, 1.0)
        width = self.amount * (unit or 0.0)
        if math.isnan(off) or math.isnan(width):
            return math.inf
        return off / width if width else math.inf if off else 0.0

    def __str__(self) -> str:
        if self.unit == "factor":
            return f"factor {self.amount:g}"
        return f"± {self.amount:g}{f' {self.unit}' if self.unit else ''}" if self.amount else "exactly"
