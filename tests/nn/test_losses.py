"""Losses: known values, extremes, and δ as the derivative's fingerprint (its exactness is in test_gradients)."""

import warnings
from math import log

import numpy as np
import pytest

from backscope.nn.losses import LOSSES


def loss_and_delta(name, z, y):
    z, y = np.array(z, float), np.array(y, float)
    loss, delta = LOSSES[name](), np.full_like(z, np.nan)
    value = loss(z, y)
    loss.delta(z, y, out=delta)
    return value, delta


@pytest.mark.parametrize(
    ("name", "z", "y", "value", "delta"),
    [
        ("cross_entropy", [[[5, 5, 5, 5]]], [[[0, 1, 0, 0]]], log(4), [[[0.25, -0.75, 0.25, 0.25]]]),
        (
            "cross_entropy",
            [[[log(3), 0]], [[0, 0]]],
            [[[1, 0]]] * 2,
            [log(4 / 3), log(2)],
            [[[-0.25, 0.25]], [[-0.5, 0.5]]],
        ),
        (
            "cross_entropy",
            [[[0, 0], [log(3), 0]]],
            [[[1, 0], [0, 1]]],
            (log(2) + log(4)) / 2,
            [[[-0.25, 0.25], [0.375, -0.375]]],
        ),
        ("squared_error", [[[1, 2]], [[0, 4]]], [[[0, 0]], [[0, 1]]], [2.5, 4.5], [[[1, 2]], [[0, 3]]]),
        ("squared_error", [[[1], [5]]], [[[0], [2]]], 2.5, [[[0.5], [1.5]]]),
        ("linear", [[[1, 2], [3, 4]]], [[[1, -1], [0, 2]]], 3.5, [[[0.5, -0.5], [0, 1]]]),
    ],
)
def test_known_values(name, z, y, value, delta):
    found = loss_and_delta(name, z, y)
    np.testing.assert_allclose(found[0], np.broadcast_to(value, len(z)), rtol=1e-15)
    np.testing.assert_allclose(found[1], delta, rtol=1e-15)


def test_every_loss_is_in_the_table_above():
    assert {row[0] for row in test_known_values.pytestmark[0].args[1]} == LOSSES.keys()


@pytest.mark.parametrize(
    ("z", "value", "delta"),
    [
        ([1e4, -1e4], 0.0, [0, 0]),  # sure and right
        ([-1e4, 1e4], 2e4, [-1, 1]),  # sure and wrong
        ([1e300, -1e300], 0.0, [0, 0]),
        ([-1e300, 1e300], 2e300, [-1, 1]),
    ],
)
def test_cross_entropy_of_huge_outputs(z, value, delta):
    with warnings.catch_warnings(action="error"):
        found = loss_and_delta("cross_entropy", [[z]], [[[1, 0]]])
    assert found[0] == value
    assert np.array_equal(found[1][0, 0], delta)


def test_cross_entropy_does_not_change_with_a_shift_of_the_outputs_and_its_delta_sums_to_zero():
    rng = np.random.default_rng(0)
    z, y = rng.normal(size=(2, 50, 7)), np.eye(7)[rng.integers(7, size=(2, 50))]
    (value, delta), (shifted, same) = (loss_and_delta("cross_entropy", z + shift, y) for shift in (0, 1000))
    np.testing.assert_allclose(value, shifted, rtol=1e-12)
    np.testing.assert_allclose(delta, same, atol=1e-15)
    np.testing.assert_allclose(delta.sum(axis=-1), 0, atol=1e-17)
