"""Order and chaos: the numbers of the literature, and depth scales against the decay of the maps themselves."""

import math

import numpy as np
import pytest

from backscope.nn.activations import ACTIVATIONS, erf, identity, relu, selu, step, tanh
from backscope.theory import mean_field
from backscope.theory.gains import chi_at_gain, selu_constants, variance_preserving_gain
from backscope.theory.gaussian import expectation


@pytest.mark.parametrize(
    ("sigma_w2", "q", "chi", "six_xi"),
    [(0.5, 0.0876, 0.4320, 7), (1.0, 0.1936, 0.7590, 22), (1.76, 0.5695, 0.9998, None), (2.5, 1.064, 1.1335, 48)],
)
def test_tanh_at_sigma_b2_of_a_twentieth(sigma_w2, q, chi, six_xi):
    q_star = mean_field.fixed_point(tanh(), sigma_w2, 0.05)
    assert q_star == pytest.approx(q, rel=1e-3)
    assert mean_field.variance_map(tanh(), q_star, sigma_w2, 0.05) == pytest.approx(q_star, rel=1e-10)
    assert mean_field.chi_1(tanh(), sigma_w2, q_star) == pytest.approx(chi, abs=1e-4)
    scale = mean_field.depth_scales(tanh(), sigma_w2, 0.05).xi_gradient
    assert scale > 1000 if six_xi is None else round(6 * scale) == six_xi


@pytest.mark.parametrize(
    ("activation", "sigma_b2", "sigma_w2"),
    [(tanh(), 0.01, 1.4242), (tanh(), 0.05, 1.7610), (tanh(), 0.2, 2.2852), (erf(), 0.05, 1.3758),
     (tanh(), 0.0, 1.0), (relu(), 0.0, 2.0), (identity(), 0.0, 1.0)],
)  # fmt: skip
def test_the_critical_line(activation, sigma_b2, sigma_w2):
    assert mean_field.critical_sigma_w2(activation, sigma_b2) == pytest.approx(sigma_w2, abs=5e-5)


@pytest.mark.parametrize("name", sorted(ACTIVATIONS))
def test_every_activation_is_critical_on_its_line_or_says_that_there_is_none(name):
    activation = ACTIVATIONS[name]()
    try:
        sigma_w2 = mean_field.critical_sigma_w2(activation, 0.05)
    except ValueError:
        assert name in {"identity", "relu", "leaky_relu", "gelu", "silu", "softplus", "step"}
        return
    fixed_points = [mean_field.fixed_point(activation, sigma_w2, 0.05, start) for start in np.geomspace(1e-3, 1e3, 13)]
    chis = [mean_field.chi_1(activation, sigma_w2, q) for q in fixed_points if q < math.inf]
    assert min(abs(np.array(chis) - 1)) < 1e-5


@pytest.mark.parametrize(("name", "sigma_b2", "sigma_w2"), [("gelu", 0.17292, 1.98306), ("silu", 0.55514, 1.98800)])
def test_smooth_relu_likes_are_critical_from_a_half_stable_point_on(name, sigma_b2, sigma_w2):
    """Roberts, Yaida & Hanin 2022, §5.3.4: there the signal is stable from one side only."""
    activation = ACTIVATIONS[name]()
    assert mean_field.critical_sigma_w2(activation, 1.001 * sigma_b2) == pytest.approx(sigma_w2, rel=2e-3)
    with pytest.raises(ValueError, match="no σw²"):
        mean_field.critical_sigma_w2(activation, 0.999 * sigma_b2)


def test_fixed_points_at_the_borders():
    assert mean_field.fixed_point(relu(), 2.0, start=0.7) == 0.7
    assert mean_field.fixed_point(relu(), 1.9) == 0.0
    assert mean_field.fixed_point(relu(), 2.1) == math.inf
    assert mean_field.fixed_point(tanh(), 0.9) == 0.0
    assert mean_field.fixed_point(selu(), 1.0) == pytest.approx(1.0, rel=1e-9)


def test_depth_scales_need_a_fixed_point():
    with pytest.raises(ValueError, match="no fixed point"):
        mean_field.depth_scales(relu(), 2.5)


@pytest.mark.parametrize("sigma_w2", [1.3, 2.5])
def test_depth_scales_are_those_with_which_the_maps_converge(sigma_w2):
    q = mean_field.fixed_point(tanh(), sigma_w2, 0.05)
    c = mean_field.fixed_correlation(tanh(), q, sigma_w2, 0.05)
    scales = mean_field.depth_scales(tanh(), sigma_w2, 0.05)
    off = 1e-4
    q_next = mean_field.variance_map(tanh(), q * (1 + off), sigma_w2, 0.05)
    assert (q_next / q - 1) / off == pytest.approx(math.exp(-1 / scales.xi_q), rel=1e-3)
    c_next = mean_field.correlation_map(tanh(), c - off, q, sigma_w2, 0.05)
    assert (c - c_next) / off == pytest.approx(math.exp(-1 / scales.xi_c), rel=1e-3)
    assert (c < 1) == (sigma_w2 > 1.761)


def test_a_step_has_no_gradient():
    assert mean_field.depth_scales(step(), 1.0).xi_gradient == 0
    with pytest.raises(ValueError, match="derivative is zero"):
        mean_field.critical_sigma_w2(step())


@pytest.mark.parametrize(
    ("name", "gain", "chi"),
    [("tanh", 1.5925, 1.178), ("relu", math.sqrt(2), 1.0), ("gelu", 1.5335, 1.0720), ("silu", 1.6765, 1.067),
     ("sigmoid", 1.846, 0.153), ("selu", 1.0, 1.0716)],
)  # fmt: skip
def test_gains(name, gain, chi):
    activation = ACTIVATIONS[name]()
    assert variance_preserving_gain(activation) == pytest.approx(gain, rel=3e-4)
    assert chi_at_gain(activation) == pytest.approx(chi, rel=2e-3)


@pytest.mark.parametrize(("sigma_w2", "rms_ratio"), [(1 / 3, 0.1414), (1.0, 0.2361)])
def test_sigmoid_gradients_vanish_under_glorots_initializations(sigma_w2, rms_ratio):
    activation = ACTIVATIONS["sigmoid"]()
    q = mean_field.fixed_point(activation, sigma_w2)
    assert math.sqrt(mean_field.chi_1(activation, sigma_w2, q)) == pytest.approx(rms_ratio, abs=5e-5)


def test_selu_has_mean_zero_and_variance_one_for_a_fixed_point():
    scale, alpha = selu_constants()

    def f(x):
        return scale * np.where(x > 0, x, alpha * np.expm1(x))

    assert expectation(f, 1.0, (0.0,)) == pytest.approx(0, abs=1e-12)
    assert expectation(lambda x: f(x) ** 2, 1.0, (0.0,)) == pytest.approx(1, rel=1e-12)
