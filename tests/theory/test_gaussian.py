"""Quadrature against closed forms: ReLU-likes and steps to 1e-10, at any scale of q and any correlation."""

import numpy as np
import pytest

from backscope.nn.activations import erf, leaky_relu, relu, step, tanh
from backscope.theory.gaussian import expectation, expectation2
from backscope.theory.moments import table_of

SCALES = [1e-20, 1e-3, 1.0, 47.0, 1e12]
CORRELATIONS = [-1.0, -0.999, -0.4, 0.0, 0.3, 0.9, 0.9999, 1.0]


@pytest.mark.parametrize("q", SCALES)
def test_half_of_the_square_passes_a_relu(q):
    act = relu()
    assert expectation(lambda x: act(x) ** 2, q, act.kinks) == pytest.approx(q / 2, rel=1e-12)
    assert expectation(act.derivative, q, act.kinks) == pytest.approx(0.5, rel=1e-12)


@pytest.mark.parametrize("q", SCALES)
def test_erf_squared(q):
    act = erf()
    exact = 2 / np.pi * np.arctan2(2 * q, np.sqrt(1 + 4 * q))  # Williams 1997
    assert expectation(lambda x: act(x) ** 2, q) == pytest.approx(exact, rel=1e-12)


def test_tanh_of_a_large_variance_is_nearly_a_step():
    assert expectation(lambda x: tanh()(x) ** 2, 1e12) == pytest.approx(1 - np.sqrt(2 / np.pi) / 1e6, rel=1e-12)


def test_a_kink_away_from_zero():
    assert expectation(lambda x: np.maximum(x, 1.0), 1.0, kinks=(1.0,)) == pytest.approx(1.0833154705876864, rel=1e-12)


@pytest.mark.parametrize("c", CORRELATIONS)
@pytest.mark.parametrize(("q1", "q2"), [(1.0, 1.0), (2.0, 0.3), (100.0, 1e-3)])
def test_pairs(c, q1, q2):
    j = (np.sqrt(1 - c * c) + (np.pi - np.arccos(c)) * c) / np.pi
    sine = 2 * c * np.sqrt(q1 * q2 / (1 + 2 * q1) / (1 + 2 * q2))
    for act, exact in (
        (relu(), np.sqrt(q1 * q2) * j / 2),  # Cho & Saul 2009
        (step(), 0.5 - np.arccos(c) / (2 * np.pi)),
        (erf(), 2 / np.pi * np.arcsin(sine)),  # Williams 1997
    ):
        assert expectation2(act, act, q1, q2, c, act.kinks) == pytest.approx(exact, abs=1e-10)


def test_pairs_with_a_constant():
    assert expectation2(relu(), np.cos, 1.0, 0.0, 0.0, (0.0,)) == pytest.approx(1 / np.sqrt(2 * np.pi), rel=1e-12)


@pytest.mark.parametrize("act", [relu(), leaky_relu(0.2), erf(), tanh()])
@pytest.mark.parametrize("q", [0.03, 1.0, 30.0])
def test_the_tables_agree_with_quadrature(act, q):
    c = np.array([[1.0, 0.97], [-0.6, 0.2]])
    moments = table_of(act).at(np.full(2, q), c)
    functions = act, act.derivative, lambda x: x * act.derivative(x), lambda x: act(x) * act.derivative(x)
    for g, tabulated in zip(functions, moments.second, strict=True):
        exact = [expectation2(g, g, q, q, correlation, act.kinks) for correlation in c.flat]
        np.testing.assert_allclose(tabulated.flat, exact, atol=6e-3 * exact[0])
    assert moments.mean[0] == pytest.approx(expectation(act, q, act.kinks), abs=1e-3)
    assert moments.curvature[0] == pytest.approx(expectation(functions[2], q, act.kinks) / q, rel=5e-3, abs=1e-12)


def test_the_table_knows_the_slope_of_the_variance_map():
    act, q, h = tanh(), 1.3, 1e-4
    up, down = (expectation(lambda x: act(x) ** 2, q + s) for s in (h, -h))
    assert table_of(act).at(np.array([q]), np.eye(1)).growth[0] == pytest.approx((up - down) / (2 * h), rel=2e-3)
