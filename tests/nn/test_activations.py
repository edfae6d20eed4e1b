"""Every activation of the registry: values, derivatives, extremes, tiny inputs, dtypes and buffers."""

import warnings
from math import exp, log, sqrt

import numpy as np
import pytest
from scipy.special import erfc

from backscope.nn.activations import ACTIVATIONS

F = {name: factory() for name, factory in ACTIVATIONS.items()}
F |= {"leaky_relu(0.3)": ACTIVATIONS["leaky_relu"](slope=0.3), "elu(0.4)": ACTIVATIONS["elu"](alpha=0.4)}
F |= {"step(straight_through)": ACTIVATIONS["step"](straight_through=True)}
PRETENDED = {"step(straight_through)"}  # f' is not the derivative of f
LAMBDA, ALPHA = 1.0507009873554805, 1.6732632423543772
every_activation = pytest.mark.parametrize("name", F)
every_dtype = pytest.mark.parametrize("dtype", [np.float64, np.float32])


def at(f, z, dtype=np.float64):
    return float(f(np.array([z], dtype))[0])


@pytest.mark.parametrize(
    ("name", "z", "f", "f_prime"),
    [
        ("identity", -3, -3, 1),
        ("sigmoid", 0, 1 / 2, 1 / 4),
        ("sigmoid", log(3), 3 / 4, 3 / 16),
        ("tanh", log(2), 3 / 5, 16 / 25),
        ("relu", -2, 0, 0),
        ("relu", 0, 0, 0),
        ("relu", 2, 2, 1),
        ("leaky_relu", -2, -0.02, 0.01),
        ("leaky_relu(0.3)", -2, -0.6, 0.3),
        ("leaky_relu", 2, 2, 1),
        ("elu", -log(2), -1 / 2, 1 / 2),
        ("elu(0.4)", -log(2), -1 / 5, 1 / 5),
        ("elu", 2, 2, 1),
        ("selu", -log(2), -LAMBDA * ALPHA / 2, LAMBDA * ALPHA / 2),
        ("selu", 2, 2 * LAMBDA, LAMBDA),
        ("gelu", 0, 0, 1 / 2),
        ("gelu", 1, 0.8413447460685429, 0.8413447460685429 + 0.24197072451914337),
        ("silu", 0, 0, 1 / 2),
        ("silu", log(3), 0.75 * log(3), 0.75 * (1 + log(3) / 4)),
        ("softplus", 0, log(2), 1 / 2),
        ("softplus", log(3), log(4), 3 / 4),
        ("softsign", 3, 3 / 4, 1 / 16),
        ("softsign", -1, -1 / 2, 1 / 4),
        ("erf", 1, 0.8427007929497149, 0.41510749742059466),
        ("step", 0, 0, 0),
        ("step", 1e-300, 1, 0),
        ("step(straight_through)", -5, 0, 1),
    ],
)
def test_known_values(name, z, f, f_prime):
    assert at(F[name], z) == pytest.approx(f, rel=2e-16 * 4)
    assert at(F[name].derivative, z) == pytest.approx(f_prime, rel=2e-16 * 4)


@every_activation
def test_the_derivative_is_the_slope(name):
    z, h = np.linspace(-8, 8, 400), 6e-6
    assert min(abs(z)) > h  # no difference across the kinks, which are all at 0
    assert set(F[name].kinks) <= {0.0}
    slope = (F[name](z + h) - F[name](z - h)) / (2 * h)
    if name not in PRETENDED:
        np.testing.assert_allclose(F[name].derivative(z), slope, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("name", "f", "f_prime"),  # at −10⁴ and 10⁴
    [
        ("identity", (-1e4, 1e4), (1, 1)),
        ("sigmoid", (0, 1), (0, 0)),
        ("tanh", (-1, 1), (0, 0)),
        ("relu", (0, 1e4), (0, 1)),
        ("leaky_relu", (-100, 1e4), (0.01, 1)),
        ("elu", (-1, 1e4), (0, 1)),
        ("selu", (-LAMBDA * ALPHA, 1e4 * LAMBDA), (0, LAMBDA)),
        ("gelu", (0, 1e4), (0, 1)),
        ("silu", (0, 1e4), (0, 1)),
        ("softplus", (0, 1e4), (0, 1)),
        ("softsign", (-1e4 / 10001, 1e4 / 10001), (1 / 10001**2, 1 / 10001**2)),
        ("erf", (-1, 1), (0, 0)),
        ("step", (0, 1), (0, 0)),
    ],
)
@every_dtype
def test_far_out(name, f, f_prime, dtype):
    z = np.array([-1e4, 1e4], dtype)
    with warnings.catch_warnings(action="error"):
        np.testing.assert_allclose(F[name](z), f, rtol=2 * np.finfo(dtype).eps)
        np.testing.assert_allclose(F[name].derivative(z), f_prime, rtol=2 * np.finfo(dtype).eps)


def test_every_activation_has_limits_in_the_table_above():
    (marks,) = [mark.args[1] for mark in test_far_out.pytestmark if mark.args[0] != "dtype"]
    assert {name for name, *_ in marks} == ACTIVATIONS.keys()


@every_activation
@every_dtype
def test_finite_wherever_z_is(name, dtype):
    largest = np.finfo(dtype).max / 4
    z = np.concatenate([np.geomspace(1e-30, largest, 500), -np.geomspace(1e-30, largest, 500), [0.0]]).astype(dtype)
    with np.errstate(divide="raise", invalid="raise", over="ignore"):
        a, slope = F[name](z), F[name].derivative(z)
    assert np.isfinite(a).all() and np.isfinite(slope).all()
    assert a.dtype == slope.dtype == dtype


@pytest.mark.parametrize("name", [name for name in F if at(F[name], 0.0) == 0 and not name.startswith("step")])
@pytest.mark.parametrize("z", [1e-300, 1e-100, 1e-20, -1e-20, -1e-100, -1e-300])
def test_a_vanishing_signal_keeps_its_digits(name, z):
    assert at(F[name], z) == pytest.approx(at(F[name].derivative, z) * z, rel=1e-15)


@pytest.mark.parametrize(
    ("name", "z", "f", "f_prime"),
    [
        ("sigmoid", -700, exp(-700), exp(-700)),
        ("softplus", -700, exp(-700), exp(-700)),
        ("silu", -700, -700 * exp(-700), -699 * exp(-700)),
        ("elu", -700, -1, exp(-700)),
        ("selu", -700, -LAMBDA * ALPHA, LAMBDA * ALPHA * exp(-700)),
        ("gelu", -30, -15 * erfc(30 / sqrt(2)), erfc(30 / sqrt(2)) / 2 - 30 * exp(-450) / sqrt(2 * np.pi)),
        ("erf", 20, 1, 2 * exp(-400) / sqrt(np.pi)),
        ("softsign", 1e9, 1 - 1e-9, 1e-18 * (1 - 2e-9)),
    ],
)
def test_a_vanishing_derivative_keeps_its_digits(name, z, f, f_prime):
    assert at(F[name], z) == pytest.approx(f, rel=1e-12)
    assert at(F[name].derivative, z) == pytest.approx(f_prime, rel=1e-12)


@every_activation
def test_bounded_means_that_both_ends_are_flat(name):
    left, right = (abs(at(F[name], 1e3 * side) - at(F[name], 1e8 * side)) < 0.01 for side in (-1, 1))
    assert F[name].bounded == (left and right and not name.startswith("step"))


@pytest.mark.parametrize("name", [name for name in F if F[name].analytic])
def test_analytic_means_that_the_complex_step_is_exact(name):
    z = np.linspace(-3, 3, 31)
    np.testing.assert_allclose(F[name](z + 1e-30j).imag / 1e-30, F[name].derivative(z), rtol=1e-13)


@every_activation
@every_dtype
def test_writes_into_the_buffer_and_nowhere_else(name, dtype):
    z = np.random.default_rng(0).normal(size=(3, 5, 4)).astype(dtype).transpose(1, 2, 0)  # as layers lay it out
    before, a, slope = z.copy(), np.full_like(z, np.nan), np.full_like(z, np.nan)
    assert F[name].f(z, a) is a
    outputs = a.copy()
    assert F[name].f_prime(z, a, slope) is slope
    assert np.array_equal(z, before) and np.array_equal(a, outputs)
    assert np.array_equal(a, F[name](z)) and np.array_equal(slope, F[name].derivative(z))
