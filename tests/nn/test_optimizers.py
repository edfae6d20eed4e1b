"""Every optimizer of the registry: against known functions, and number by number against the textbook's formulas."""

from math import sqrt

import numpy as np
import pytest

from backscope.nn.optimizers import OPTIMIZERS, clip_by_global_norm

every_optimizer = pytest.mark.parametrize("name", OPTIMIZERS)


def parabola(theta):
    """∇ of ½ Σ k θ_k², least at 0."""
    return np.arange(1.0, theta.shape[-1] + 1) * theta


def rosenbrock(theta):
    """∇ of (1 − x)² + 100 (y − x²)², least at (1, 1)."""
    x, y = theta[..., 0], theta[..., 1]
    return np.stack([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)], axis=-1)


def descend(optimizer, gradient, theta, lr, steps, decay=False):
    theta = theta.copy()
    for t in range(steps):
        g = np.ascontiguousarray(gradient(theta))
        optimizer.update(theta, g, lr * (1 - t / steps) if decay else lr)
    return theta


@pytest.mark.parametrize(
    ("name", "lr", "steps"),
    [
        ("sgd", 0.1, 400),
        ("momentum", 0.05, 600),
        ("nesterov", 0.05, 400),
        ("adagrad", 1.0, 400),
        ("rmsprop", 0.05, 600),
        ("adam", 0.1, 600),
        ("adamw", 0.1, 600),
    ],
)
def test_reaches_the_minimum_of_a_parabola(name, lr, steps):
    start = np.random.default_rng(0).normal(size=(3, 5))
    assert np.abs(descend(OPTIMIZERS[name](), parabola, start, lr, steps, decay=True)).max() < 1e-6


@pytest.mark.parametrize(
    ("name", "lr", "steps"),
    [
        ("sgd", 1.5e-3, 20_000),
        ("momentum", 1e-3, 3000),
        ("nesterov", 1e-3, 3000),
        ("adagrad", 0.5, 6000),
        ("rmsprop", 0.01, 6000),
        ("adam", 0.1, 3000),
        ("adamw", 0.1, 3000),
    ],
)
def test_reaches_the_minimum_of_rosenbrocks_valley(name, lr, steps):
    start = np.array([[-1.2, 1.0], [0.0, 0.0]])
    decay = name in ("rmsprop", "adam", "adamw")  # their steps do not shrink with the gradient
    theta = descend(OPTIMIZERS[name](), rosenbrock, start, lr, steps, decay)
    np.testing.assert_allclose(theta, 1, atol=0.01)


def test_every_optimizer_is_in_the_tables_above():
    for test in (test_reaches_the_minimum_of_a_parabola, test_reaches_the_minimum_of_rosenbrocks_valley):
        assert {row[0] for row in test.pytestmark[0].args[1]} == OPTIMIZERS.keys()


# The formulas as papers and PyTorch's documentation print them, for one number θ, in plain Python.


def sgd(g, theta, state, t, lr, weight_decay=0.0):
    return theta - lr * (g + weight_decay * theta)


def momentum(g, theta, state, t, lr, momentum=0.9, weight_decay=0.0, nesterov=False):
    g = g + weight_decay * theta
    state["b"] = g if t == 1 else momentum * state["b"] + g
    return theta - lr * (g + momentum * state["b"] if nesterov else state["b"])


def nesterov(g, theta, state, t, lr, **options):
    return momentum(g, theta, state, t, lr, nesterov=True, **options)


def adagrad(g, theta, state, t, lr, eps=1e-10, weight_decay=0.0):
    g = g + weight_decay * theta
    state["sum"] = state.get("sum", 0.0) + g**2
    return theta - lr * g / (sqrt(state["sum"]) + eps)


def rmsprop(g, theta, state, t, lr, rho=0.99, eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * theta
    state["v"] = rho * state.get("v", 0.0) + (1 - rho) * g**2
    return theta - lr * g / (sqrt(state["v"]) + eps)


def adam(g, theta, state, t, lr, beta1=0.9, beta2=0.999, eps=1e-8, weight_decay=0.0):
    g = g + weight_decay * theta
    state["m"] = beta1 * state.get("m", 0.0) + (1 - beta1) * g
    state["v"] = beta2 * state.get("v", 0.0) + (1 - beta2) * g**2
    m_hat, v_hat = state["m"] / (1 - beta1**t), state["v"] / (1 - beta2**t)
    return theta - lr * m_hat / (sqrt(v_hat) + eps)


def adamw(g, theta, state, t, lr, weight_decay=0.0, **options):
    return adam(g, theta - lr * weight_decay * theta, state, t, lr, **options)


TEXTBOOK = {f.__name__: f for f in (sgd, momentum, nesterov, adagrad, rmsprop, adam, adamw)}
OPTIONS = [
    *[(name, {}) for name in OPTIMIZERS],
    *[(name, {"weight_decay": 0.3}) for name in OPTIMIZERS],
    *[(name, {"eps": 0.1, "weight_decay": 0.01}) for name in ("adagrad", "rmsprop", "adam", "adamw")],
    *[(name, {"momentum": value}) for name in ("momentum", "nesterov") for value in (0.0, 0.5)],
    *[("rmsprop", {"rho": value}) for value in (0.0, 0.8)],
    *[
        (name, {"beta1": b1, "beta2": b2})
        for name in ("adam", "adamw")
        for b1, b2 in ((0.0, 0.999), (0.5, 0.0), (0.8, 0.7))
    ],
]


@pytest.mark.parametrize(("name", "options"), OPTIONS)
def test_takes_the_textbooks_trajectory(name, options):
    rng = np.random.default_rng(0)
    theta, size = rng.normal(size=(2, 3)), 10.0 ** rng.uniform(-6, 2, (2, 3))
    expected, states = theta.copy(), np.array([{} for _ in range(6)]).reshape(2, 3)
    optimizer = OPTIMIZERS[name](**options)
    for t in range(1, 101):
        lr = 0.1 / t**0.5  # a learning rate that changes
        gradient, before = rng.normal(0.5, 1, theta.shape) * size, theta.copy()
        for index in np.ndindex(2, 3):
            expected[index] = TEXTBOOK[name](
                float(gradient[index]), float(expected[index]), states[index], t, lr, **options
            )
        optimizer.update(theta, gradient, lr)
        np.testing.assert_allclose(theta, expected, rtol=1e-12, atol=1e-13)
        np.testing.assert_allclose(gradient, before - theta, rtol=1e-12, atol=1e-13)  # the step it took


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@every_optimizer
def test_moves_in_place_and_keeps_dtype_and_replicas_apart(name, dtype):
    rng = np.random.default_rng(1)
    start, gradients = rng.normal(size=(3, 40)).astype(dtype), rng.normal(size=(5, 3, 40)).astype(dtype)
    together, theta = OPTIMIZERS[name](weight_decay=0.1), start.copy()
    alone, row = OPTIMIZERS[name](weight_decay=0.1), start[[2]].copy()
    for g in gradients:
        mine, its = g.copy(), g[[2]].copy()
        together.update(theta, mine, 0.01)
        alone.update(row, its, 0.01)
        assert np.array_equal(theta[2], row[0]) and np.array_equal(mine[2], its[0])
    assert theta.dtype == dtype and all(state.dtype == dtype for state in together.state)
    assert not np.array_equal(theta, start)


@pytest.mark.parametrize("name", ["adam", "adamw"])
@pytest.mark.parametrize("size", [1e-100, 1e-12, 1.0, 1e12])
def test_adams_first_step_has_length_lr_in_every_coordinate_whatever_the_gradient(name, size):
    theta, g = np.zeros((2, 50)), size * np.random.default_rng(0).normal(size=(2, 50))
    signs = np.sign(g)
    OPTIMIZERS[name](eps=0.0).update(theta, g, 0.01)
    np.testing.assert_allclose(g, 0.01 * signs, rtol=1e-14)
    np.testing.assert_allclose(np.linalg.norm(theta, axis=1), 0.01 * 50**0.5, rtol=1e-14)


@pytest.mark.parametrize("power", [-20, 20])
@pytest.mark.parametrize(("eps", "identical"), [(0.0, True), (1e-8, False)])
@pytest.mark.parametrize("name", ["adagrad", "rmsprop", "adam", "adamw"])
def test_a_scaled_loss_takes_the_same_trajectory_bit_by_bit_only_without_eps(name, eps, identical, power):
    start = np.random.default_rng(0).normal(size=(2, 5))
    plain, scaled = (
        descend(OPTIMIZERS[name](eps=eps), lambda theta, by=by: by * parabola(theta), start, 0.01, 200)
        for by in (1.0, 2.0**power)
    )
    # Adagrad's root is the largest number of all: next to it 1e-8 is lost in rounding if the loss grows
    assert np.array_equal(plain, scaled) == identical or (power > 0 and np.allclose(plain, scaled, rtol=1e-6))
    assert identical <= np.array_equal(plain, scaled)


@every_optimizer
@pytest.mark.parametrize("eps", [{}, {"eps": 0.0}])
def test_no_gradient_no_step(name, eps):
    if eps and name in ("sgd", "momentum", "nesterov"):
        return
    theta, start, g = np.ones((2, 3)), np.ones((2, 3)), np.zeros((2, 3))
    optimizer = OPTIMIZERS[name](**eps)
    with np.errstate(all="raise"):
        for _ in range(3):
            optimizer.update(theta, g, 0.1)
    assert np.array_equal(theta, start) and not g.any()


@pytest.mark.parametrize(
    ("gradient", "limit", "expected"),
    [
        ([[3, 4]], 10, [[3, 4]]),
        ([[3, 4]], 5, [[3, 4]]),
        ([[3, 4]], 1, [[0.6, 0.8]]),
        ([[3, 4], [0.3, 0.4], [0, 0]], 1, [[0.6, 0.8], [0.3, 0.4], [0, 0]]),  # each replica by itself
        ([[np.nan, 4], [30, 40]], 5, [[np.nan, 4], [3, 4]]),
    ],
)
def test_clipping_by_global_norm(gradient, limit, expected):
    gradient = np.array(gradient, float)
    clip_by_global_norm(gradient, limit)
    np.testing.assert_allclose(gradient, expected, rtol=1e-15)
