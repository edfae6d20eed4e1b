"""Learning-rate schedules, as tables of factors."""

from math import cos, pi

import pytest

from backscope.nn.schedules import SCHEDULES, with_warmup


@pytest.mark.parametrize(
    ("name", "options", "steps", "factors"),  # at t = 0, 1, …
    [
        ("constant", {}, 5, [1, 1, 1, 1, 1]),
        ("step", {"every": 2, "factor": 0.1}, 5, [1, 1, 0.1, 0.1, 0.01]),
        ("step", {"every": 1, "factor": 2}, 3, [1, 2, 4]),
        ("cosine", {}, 3, [1, 0.5, 0, 0]),
        ("cosine", {"final": 0.2}, 5, [0.2 + 0.4 * (1 + cos(pi * t / 4)) for t in range(5)]),
        ("cosine", {"final": 1}, 3, [1, 1, 1]),
        ("cosine", {}, 1, [1]),
        ("cosine", {}, 0, [1]),
    ],
)
@pytest.mark.parametrize("warmup", [0, 1, 2, 10])
def test_factors(name, options, steps, factors, warmup):
    schedule = with_warmup(SCHEDULES[name](steps, **options), warmup)
    ramp = [min(1, (t + 1) / warmup) if warmup else 1 for t in range(len(factors))]
    assert [schedule(t) for t in range(len(factors))] == pytest.approx(
        [a * b for a, b in zip(ramp, factors, strict=True)], abs=1e-15
    )


def test_every_schedule_is_in_the_table_above():
    (rows,) = [mark.args[1] for mark in test_factors.pytestmark if mark.args[0] != "warmup"]
    assert {row[0] for row in rows} == SCHEDULES.keys()


@pytest.mark.parametrize("name", SCHEDULES)
@pytest.mark.parametrize("warmup", [0, 7])
def test_a_run_starts_at_its_own_learning_rate_and_never_exceeds_it(name, warmup):
    factors = [with_warmup(SCHEDULES[name](50), warmup)(t) for t in range(50)]
    assert all(0 <= factor <= 1 for factor in factors)
    assert factors[max(warmup - 1, 0)] > 0.95
