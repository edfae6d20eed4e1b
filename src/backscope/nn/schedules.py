"""Learning-rate schedules: factories of functions from the step t = 0, 1, … to a factor on the learning rate."""

import math
from collections.abc import Callable

from backscope.nn.domains import Count, Positive, UnitInterval, Whole

Schedule = Callable[[int], float]


def constant(steps: int) -> Schedule:
    """1 at every step."""
    return lambda t: 1.0


def step(steps: int, every: Count = 100, factor: Positive = 0.5) -> Schedule:
    """factor^⌊t/every⌋.

    >>> [step(300)(t) for t in (0, 99, 100, 250)]
    [1.0, 1.0, 0.5, 0.25]
    """
    return lambda t: factor ** (t // every)


def cosine(steps: int, final: UnitInterval = 0.0) -> Schedule:
    """Half a cosine from 1 to `final` at the last of `steps` steps (Loshchilov & Hutter 2017, eq. 5).

    >>> [round(cosine(101)(t), 12) for t in (0, 50, 100)]
    [1.0, 0.5, 0.0]
    """
    return lambda t: final + (1 - final) * (1 + math.cos(math.pi * min(t / max(steps - 1, 1), 1.0))) / 2


def with_warmup(schedule: Schedule, warmup: Whole) -> Schedule:
    """Multiply by (t + 1)/warmup over the first `warmup` steps (Goyal 2017, §2.2).

    >>> [with_warmup(constant(10), 4)(t) for t in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    return lambda t: min((t + 1) / warmup, 1.0) * schedule(t) if warmup else schedule(t)


SCHEDULES: dict[str, Callable[..., Schedule]] = {"constant": constant, "step": step, "cosine": cosine}
