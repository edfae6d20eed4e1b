"""Comparing configurations honestly: medians over seeds with bootstrap intervals, and never a winner from one seed.

A number is a pandas Series over seeds. Where both configurations have the same seeds they were trained from the same
splits and streams, so that the difference of each pair is what is looked at: much of the noise is in both.
Intervals are percentile intervals of the bootstrap (Efron 1979), widened for a few seeds as Hesterberg (2015, §5.3)
does; with fewer than five seeds not even their whole range covers the median in 90 % of all cases.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from backscope.analysis.frames import varying

LEVEL = 0.9
PERCENT = f"{100 * LEVEL:.0f} %"
ENOUGH = 5  # seeds: the range of n covers the median with probability 1 − 2^(1 − n)
MANY = 100  # seeds: from here on the order statistics to which the bootstrap's limits tend, without its resampling
RESAMPLES = 9999
HUGE = 1e100  # stands for the infinite loss of a replica that diverged: quantiles of infinities are not defined
BETTER = {"loss": "lower", "seconds": "lower", "accuracy": "higher", "r2": "higher"}
FLOWS = {"grad_ratio": "grad_norm", "delta_ratio": "delta_rms"}


@dataclass(frozen=True)
class Estimate:
    """A median over seeds, and an interval that covers the true one with probability `level`: 0 for a single seed."""

    median: float
    low: float
    high: float
    level: float
    seeds: int

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval is on one side of 0."""
        return self.low > 0 or self.high < 0

    def __str__(self) -> str:
        ends = f" [{_number(self.low)}, {_number(self.high)}]" if self.level else ""
        return f"{_number(self.median)}{ends}"


def estimate(values: Sequence[float] | np.ndarray | pd.Series) -> Estimate:
    """The median of a number over seeds, with its 90 % interval; with the range of two to four seeds.

    >>> print(estimate([0.31, 0.28, 0.35, 0.30, 0.29, 0.33, 0.27, 0.32]))
    0.305 [0.28, 0.33]
    >>> estimate([0.3, 0.2, 0.4]).level
    0.75
    """
    from scipy.stats import binom, norm, t

    known = np.sort(np.clip(np.asarray(values, float), -HUGE, HUGE))
    count = len(known)
    if count < ENOUGH:
        return _estimate(known, float(known[0]), float(known[-1]), 1 - 2.0 ** (1 - count))
    if count > MANY:
        place = int(binom.ppf((1 - LEVEL) / 2, count, 0.5))
        return _estimate(known, float(known[place - 1]), float(known[count - place]), LEVEL)
    wider = 1 - 2 * norm.sf(np.sqrt(count / (count - 1)) * t.ppf((1 + LEVEL) / 2, count - 1))
    return _estimate(known, *_bootstrap((known,), np.median, float(wider)), LEVEL)


def difference(a: pd.Series, b: pd.Series) -> tuple[Estimate, bool]:
    """The median of a − b over the seeds that they share, else the difference of their medians; and whether paired."""
    shared = a.index.intersection(b.index)
    if len(shared) >= min(ENOUGH, len(a), len(b)):
        one, other = (each.loc[shared].to_numpy(float) for each in (a, b))
        with np.errstate(invalid="ignore"):
            return estimate(np.where(one == other, 0.0, one - other)), True
    parts = [np.clip(each.to_numpy(float), -HUGE, HUGE) for each in (a, b)]
    middle = np.atleast_1d(np.median(parts[0]) - np.median(parts[1]))
    if min(map(len, parts)) < ENOUGH:
        return _estimate(middle, np.nan, np.nan, 0.0, min(map(len, parts))), False
    ends = _bootstrap(parts, lambda x, y, axis: np.median(x, axis=axis) - np.median(y, axis=axis), LEVEL)
    return _estimate(middle, *ends, LEVEL, min(map(len, parts))), False


def _bootstrap(samples: Sequence[np.ndarray], statistic: Any, level: float) -> tuple[float, float]:
    from scipy.stats import bootstrap

    found = bootstrap(
        samples,
        statistic,
        n_resamples=RESAMPLES,
        confidence_level=level,
        method="percentile",
        rng=np.random.default_rng(0),
    )
    return found.confidence_interval


def _estimate(values: np.ndarray, low: float, high: float, level: float, seeds: int | None = None) -> Estimate:
    middle, low, high = (np.inf * each if abs(each) > HUGE / 1e3 else each for each in (np.median(values), low, high))
    return Estimate(float(middle), float(low), float(high), level, len(values) if seeds is None else seeds)


@dataclass(frozen=True, repr=False)
class Comparison:
    """Two configurations by one number: `sentence` says what can be said, `table` has the numbers."""

    metric: str
    names: tuple[str, str]
    a: pd.Series
    b: pd.Series

    @cached_property
    def estimates(self) -> tuple[Estimate, Estimate]:
        """The median of each."""
        return estimate(self.a), estimate(self.b)

    @cached_property
    def difference(self) -> tuple[Estimate, bool]:
        """The median difference a − b, and whether it is one of pairs with the same seed."""
        return difference(self.a, self.b)

    @property
    def winner(self) -> str | None:
        """The better of the two; None if these seeds cannot tell, or the number is neither good nor bad."""
        found, better = self.difference[0], _better(self.metric)
        if better is None or found.level < LEVEL or not found.excludes_zero:
            return None
        return self.names[(found.median < 0) != (better == "lower")]

    @property
    def table(self) -> pd.DataFrame:
        """Seeds, median, interval and its level: of both, and of their difference."""
        paired = "paired difference" if self.difference[1] else "difference of medians"
        rows = dict(zip((*self.names, paired), (*self.estimates, self.difference[0]), strict=True))
        return pd.DataFrame([vars(each) for each in rows.values()], index=list(rows))

    @property
    def sentence(self) -> str:
        """What these seeds can tell, and what they cannot."""
        (one, other), (gap, paired) = self.estimates, self.difference
        few, better = min(one.seeds, other.seeds), _better(self.metric)
        numbers = f"{self.metric} {one} with {self.names[0]}, {other} with {self.names[1]}"
        numbers += f"; {'paired difference' if paired else 'difference of medians'} {gap}"
        what = f"medians of {gap.seeds} {'shared ' * paired}seeds, {PERCENT} bootstrap intervals"
        if few == 1:
            said = f"one seed: no interval, no winner. {numbers}"
        elif gap.level < LEVEL:
            ranges = f"medians [and ranges] of {gap.seeds} seeds"
            said = f"{gap.seeds} seeds: too few for a {PERCENT} interval, no winner. {numbers} ({ranges})"
        elif self.winner:
            said = f"{self.winner} wins, {better} is better. {numbers} ({what})"
        elif gap.excludes_zero:
            said = f"they differ. {numbers} ({what})"
        else:
            said = f"no winner: the difference may be 0. {numbers} ({what})"
        return said + "".join(map(_diverged, self.names, (self.a, self.b)))

    def __repr__(self) -> str:
        return self.sentence

    def _repr_html_(self) -> str:
        shown = self.table.to_html(float_format=_number, border=0)  # which escapes
        return f"<p>{escape(self.sentence)}</p>{shown}"


def compare(a: pd.Series, b: pd.Series, names: tuple[str, str] = ("a", "b")) -> Comparison:
    """Two configurations by a number, given by seed; the series' name says which number.

    >>> he = pd.Series([0.2, 0.3, 0.2, 0.3, 0.2], name="test_loss")
    >>> print(compare(he, he + 0.5, ("he", "zeros")).sentence[:31])
    he wins, lower is better. test_
    >>> print(compare(he[:1], he[:1] + 0.5, ("he", "zeros")).sentence[:31])
    one seed: no interval, no winne
    """
    return Comparison(str(a.name), names, a, b)


def values(runs: pd.DataFrame, metric: str, trace: Callable[[str], pd.DataFrame]) -> pd.Series:
    """A number by seed, of runs (`tracking.reader.runs`) that differ in nothing but their seed.

    `trace(run_id)` is asked where there is no such column, and for runs of several replicas, of which MLflow has the
    median only. Raises ValueError for
    runs that differ in more, that share a seed, or for a number that they do not have.
    """
    others = [choice for choice in varying(runs) if choice not in ("seed", "name", "replicas")]
    if others:
        raise ValueError(f"runs that differ in {', '.join(others)}: allowed are runs that differ in their seed only")
    found, known = [], {str(name).removeprefix("summary/") for name in runs if str(name).startswith("summary/")}
    for run_id, run in runs.iterrows():
        seed = int(run["seed"])
        if int(run["replicas"]) > 1 or f"summary/{metric}" not in run:
            table = scores(trace(str(run_id)), int(run["training.steps"]), seed)
            found.append(table[metric] if metric in table else pd.Series(dtype=float))
            known |= set(map(str, table))
        elif pd.notna(run.get("summary/diverged_replicas")):
            found.append(pd.Series({seed: _worst(metric)}))
        else:
            found.append(pd.Series({seed: float(run[f"summary/{metric}"])}))
    whole = pd.concat(found).dropna().rename(metric) if found else pd.Series(dtype=float)
    if whole.empty:
        raise ValueError(f"metric={metric}: allowed is what these runs have, such as {', '.join(sorted(known))}")
    if whole.index.has_duplicates:
        raise ValueError(f"seed={whole.index[whole.index.duplicated()][0]}: allowed are runs that share no seed")
    return whole


def scores(trace: pd.DataFrame, steps: int, seed: int = 0) -> pd.DataFrame:
    """What a run came to, a row a replica by its seed: the last value of every scalar, and the ratios of gradients.

    A replica whose loss was not finite at the last step has an infinite loss, and the lowest of all other scores.
    """
    whole = trace[trace["layer"] == 0]
    last = whole.groupby(["replica", "quantity"], observed=True)["value"].last().unstack()
    last.columns = [str(name).replace("/", "_") for name in last.columns]
    loss = whole[(whole["quantity"] == "train/loss") & (whole["step"] == steps)]
    diverged = ~last.index.isin(loss["replica"])
    for name in last.columns:
        last.loc[diverged, name] = _worst(name)
    for name, quantity in FLOWS.items():
        if (ratio := _ratio(trace, quantity)) is not None:
            last[name] = ratio
    last.index = pd.Index(last.index.astype(int) + seed, name="seed")
    return last


def _ratio(trace: pd.DataFrame, quantity: str) -> pd.Series | None:
    """First to last hidden layer, of each replica: the median over the measured steps."""
    rows = trace[trace["quantity"] == quantity]
    depth = int(rows["layer"].max()) - 1 if len(rows) else 0
    if depth < 2:
        return None
    ends = rows[rows["layer"].isin((1, depth))].pivot(index=["step", "replica"], columns="layer", values="value")
    return (ends[1] / ends[depth]).groupby("replica").median()


def _better(metric: str) -> str | None:
    return next((better for word, better in BETTER.items() if word in metric), None)


def _worst(metric: str) -> float:
    """What a replica that diverged has for it."""
    return {"lower": np.inf, "higher": -np.inf}.get(_better(metric) or "", np.nan)


def _diverged(name: str, found: pd.Series) -> str:
    count = int(np.isinf(found).sum())
    return f"; with {name} {count} of {len(found)} seeds diverged" if count else ""


def _number(value: float) -> str:
    return f"{value:.3g}".replace("inf", "∞")
