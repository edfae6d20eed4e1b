"""Backpropagation is exact: every gradient against autograd on a network written anew, and against finite differences.

The reference below is one replica in autograd.numpy and shares no code with the package. Finite differences perturb
one number a replica: a network of 2(P + B·n_in) replicas is all central differences of a gradient in one forward pass.

Networks are drawn where derivatives are well conditioned: a width of at least 3, because layer normalization maps one
unit to 0 and two to ±1 whatever they were, and at least 3 samples, because batch normalization does so with them;
what is normalized has a standard deviation of about 10, and never one below 1.
"""

import autograd.numpy as anp
import numpy as np
import pytest
from autograd import grad
from autograd.scipy.special import erf
from autograd.tracer import getval
from hypothesis import Phase, assume, given, settings
from hypothesis import strategies as st

from backscope.nn.activations import ACTIVATIONS
from backscope.nn.losses import LOSSES
from backscope.nn.network import RESIDUALS, Architecture, Network
from backscope.nn.normalization import NORMALIZATIONS

H = 6e-6  # the step that balances truncation, H², and rounding, ε/H
FORMULAS = {
    "identity": lambda z: z,
    "sigmoid": lambda z: 1 / (1 + anp.exp(-z)),
    "tanh": anp.tanh,
    "relu": lambda z: anp.where(z > 0, z, 0 * z),
    "leaky_relu": lambda z: anp.where(z > 0, z, 0.01 * z),
    "elu": lambda z: anp.where(z > 0, z, anp.exp(z) - 1),
    "selu": lambda z: 1.0507009873554805 * anp.where(z > 0, z, 1.6732632423543772 * (anp.exp(z) - 1)),
    "gelu": lambda z: z * (1 + erf(z / anp.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + anp.exp(-z)),
    "softplus": lambda z: anp.log(1 + anp.exp(z)),
    "softsign": lambda z: z / (1 + anp.abs(z)),
    "erf": erf,
    "step": lambda z: anp.where(z > 0, 1.0, 0.0) + 0 * z,
}


def straight_through(z):
    return anp.where(getval(z) > 0, 1.0, 0.0) + z - getval(z)


def reference(parameters, x, y, f, architecture, masks, statistics):
    """The loss of one replica; `parameters` are a dictionary a layer, in which `nudge` is added to z."""
    a, depth = x, architecture.depth
    scale = {"none": None, "plain": 1.0, "scaled": 1 / max(depth - 1, 1) ** 0.5, "zero": None}[architecture.residual]
    for index, layer in enumerate(parameters):
        z = anp.dot(a, layer["W"].T)
        if "gamma" in layer:
            axis = {"batch_norm": 0, "layer_norm": 1}[architecture.normalization]
            mean, variance = statistics[index] or (
                anp.mean(z, axis, keepdims=True),
                anp.var(z, axis, keepdims=True),
            )
            z = layer["gamma"] * (z - mean) / anp.sqrt(variance + 1e-5)
        z = z + layer["b"] + layer["nudge"]
        if index == depth:
            break
        branch = f(z) * masks[index]
        a = branch if index == 0 or architecture.residual == "none" else a + layer.get("scale", scale) * branch
    losses = {
        "cross_entropy": lambda: anp.log(anp.sum(anp.exp(z), axis=1)) - anp.sum(z * y, axis=1),
        "squared_error": lambda: 0.5 * anp.sum((z - y) ** 2, axis=1),
        "linear": lambda: anp.sum(z * y, axis=1),
    }
    return anp.sum(losses[architecture.loss]()) / len(x)


class Problem:
    """A random network, batch, dropout masks and running statistics, drawn from a seed."""

    def __init__(self, architecture, replicas, batch, seed=0, training=True, dtype=np.float64):
        rng = np.random.default_rng(seed)
        self.architecture, self.training = architecture, training
        self.network = Network(architecture, replicas, dtype)
        for layer in self.network.layers:
            for name, size in layer.sizes.items():
                view = getattr(layer, name)
                view[:] = rng.normal(float(name in ("gamma", "scale")), 0.3, (replicas, size)).reshape(view.shape)
            layer.W *= (30 if layer.normalization else 3) * layer.n_in**-0.5
        self.x = rng.normal(size=(replicas, batch, architecture.n_in)).astype(dtype)
        self.y = rng.normal(size=(replicas, batch, architecture.n_out)).astype(dtype)
        if architecture.loss == "cross_entropy":
            self.y = np.eye(architecture.n_out, dtype=dtype)[self.y.argmax(axis=-1)]
        for _ in range(2):  # fill the running statistics
            self.network.forward(rng.normal(size=self.x.shape).astype(dtype), self.y)
        for layer in self.network.layers:
            if layer.mask is not None:
                layer.mask[:] = rng.random(layer.mask.shape) < 0.7
        self.loss = self.network.forward(self.x, self.y, training)
        self.network.backward()

    def masks(self, replica):
        return [1.0 if layer.mask is None else layer.mask[replica] for layer in self.network.layers]

    def statistics(self, replica):
        """Each layer's running mean and variance, where they are used."""
        frozen = self.architecture.normalization == "batch_norm" and not self.training
        norms = [layer.normalization if frozen else None for layer in self.network.layers]
        return [norm and (norm.mean[replica], norm.variance[replica]) for norm in norms]

    def gradients(self, replica):
        """What backpropagation found: a dictionary a layer, and the gradient of the input."""
        layers = [
            {name: getattr(layer, f"d{name}")[replica] for name in layer.sizes} | {"nudge": layer.delta[replica]}
            for layer in self.network.layers
        ]
        return layers, self.network.input_gradient()[replica]

    def autograd(self, replica, f):
        """What autograd finds for the reference: its loss, and the same gradients."""
        parameters = [
            {name: getattr(layer, name)[replica] for name in layer.sizes} | {"nudge": np.zeros_like(layer.z[replica])}
            for layer in self.network.layers
        ]
        fixed = (f, self.architecture, self.masks(replica), self.statistics(replica))
        x, y = self.x[replica], self.y[replica]
        gradients = grad(lambda both: reference(*both, y, *fixed))((parameters, x))
        return reference(parameters, x, y, *fixed), *gradients

    def finite_differences(self, replica):
        """Central differences of the loss with respect to every parameter and every input: (P,), (B, n_in)."""
        theta, x, network = self.network.theta[replica], self.x[replica], self.network
        count = theta.size + x.size
        nudges = H * np.concatenate([np.eye(count), -np.eye(count)])
        perturbed = Network(self.architecture, 2 * count)
        perturbed.theta[:] = theta + nudges[:, : theta.size]
        for mine, its in zip(network.layers, perturbed.layers, strict=True):
            if mine.normalization is not None and self.architecture.normalization == "batch_norm":
                its.normalization.mean[:] = mine.normalization.mean[replica]
                its.normalization.variance[:] = mine.normalization.variance[replica]
        xs = x + nudges[:, theta.size :].reshape(-1, *x.shape)
        ys = np.broadcast_to(self.y[replica], (2 * count, *self.y[replica].shape))
        perturbed.forward(xs, ys, training=False)  # makes the buffers
        for mine, its in zip(network.layers, perturbed.layers, strict=True):
            if mine.mask is not None:
                its.mask[:] = mine.mask[replica]
        plus, minus = perturbed.forward(xs, ys, self.training).reshape(2, count)
        for mine, its in zip(network.layers[:-1], perturbed.layers, strict=False):
            for kink in self.architecture.activation.kinks:  # a difference across a kink is no derivative
                assume(np.all((its.z > kink) == (mine.z[replica] > kink)))
        differences = (plus - minus) / (2 * H)
        return differences[: theta.size], differences[theta.size :].reshape(x.shape)


def assert_close(found, expected, tolerance, floor):
    """Relative error in the Euclidean norm, where gradients smaller than `floor` count as `floor`."""
    error, size = np.linalg.norm(found - expected), np.linalg.norm(expected)
    assert error <= tolerance * max(size, floor), f"relative error {error / max(size, floor):.1e}"


def assert_exact(problem, replica, f=None):
    """All gradients of a replica; those of the loss against finite differences too, unless f is a pretended one."""
    for norm in (layer.normalization for layer in problem.network.layers):
        assume(norm is None or norm.inverse_std[replica].max() < 1)
    layers, inputs = problem.gradients(replica)
    size = np.linalg.norm(problem.network.gradient[replica])
    pretended, f = f, f or FORMULAS[NAMES[problem.architecture.activation]]
    loss, expected_layers, expected_inputs = problem.autograd(replica, f)
    assert problem.loss[replica] == pytest.approx(loss, rel=1e-13)
    for mine, expected in zip(layers, expected_layers, strict=True):
        for name in mine:
            assert_close(mine[name], expected[name], 1e-12, 1e-2 * size)
    assert_close(inputs, expected_inputs, 1e-12, 1e-2 * size)
    if not pretended:
        parameters, expected = problem.finite_differences(replica)
        assert_close(problem.network.gradient[replica], parameters, 1e-7, 0)
        assert_close(inputs, expected, 1e-7, 1e-2 * size)


F = {name: ACTIVATIONS[name]() for name in ACTIVATIONS}
NAMES = {activation: name for name, activation in F.items()}
every_activation = pytest.mark.parametrize("activation", F)
every_normalization = pytest.mark.parametrize("normalization", ["none", *NORMALIZATIONS])
every_residual = pytest.mark.parametrize("residual", ["none", *RESIDUALS])
every_loss = pytest.mark.parametrize("loss", LOSSES)
shapes = st.fixed_dictionaries(
    {
        "depth": st.sampled_from([2, 3, 1]),
        "width": st.integers(3, 6),
        "n_in": st.integers(2, 4),
        "n_out": st.integers(2, 4),
    }
)
sizes = st.fixed_dictionaries({"replicas": st.integers(1, 3), "batch": st.integers(3, 6)})
seeds = st.integers(0, 2**32 - 1)


def examples(count):
    """So many random examples; a failing one is not shrunk, since a smaller seed is no simpler."""
    return settings(max_examples=count, phases=[Phase.generate])


def network_of(activation="tanh", **parts):
    """An Architecture with an activation by name, one built from parameters, or one of its own."""
    parts = {"n_in": 3, "n_out": 2, "depth": 3, "width": 4} | parts
    return Architecture(activation=F.get(activation, activation), **parts)


@every_activation
@every_normalization
@every_residual
@every_loss
@examples(4)
@given(shape=shapes, size=sizes, seed=seeds)
def test_every_gradient_of_every_network(activation, normalization, residual, loss, shape, size, seed):
    architecture = network_of(activation, normalization=normalization, residual=residual, loss=loss, **shape)
    assert_exact(Problem(architecture, seed=seed, **size), size["replicas"] - 1)


@pytest.mark.parametrize("activation", ["tanh", "relu", "softplus"])
@every_normalization
@every_residual
@pytest.mark.parametrize("training", [True, False])
@examples(3)
@given(shape=shapes, size=sizes, seed=seeds)
def test_dropout_with_a_frozen_mask_and_no_dropout_in_evaluation(
    activation, normalization, residual, training, shape, size, seed
):
    architecture = network_of(activation, normalization=normalization, residual=residual, dropout=0.3, **shape)
    problem = Problem(architecture, seed=seed, training=training, **size)
    assert_exact(problem, 0)
    masks = np.concatenate([layer.mask.ravel() for layer in problem.network.layers[:-1]])
    assert (masks == 1).all() != training


@every_activation
@every_residual
@examples(3)
@given(shape=shapes, size=sizes, seed=seeds)
def test_batch_normalization_with_frozen_statistics(activation, residual, shape, size, seed):
    architecture = network_of(activation, normalization="batch_norm", residual=residual, **shape)
    problem = Problem(architecture, seed=seed, training=False, **size)
    assert_exact(problem, size["replicas"] - 1)


@every_normalization
@every_residual
@examples(5)
@given(shape=shapes, size=sizes, seed=seeds)
def test_a_straight_through_step_passes_the_gradient_as_it_is(normalization, residual, shape, size, seed):
    step = ACTIVATIONS["step"](straight_through=True)
    architecture = network_of(step, normalization=normalization, residual=residual, **shape)
    assert_exact(Problem(architecture, seed=seed, **size), 0, straight_through)


@pytest.mark.parametrize(
    ("name", "parameters", "f"),
    [
        ("leaky_relu", {"slope": 0.3}, lambda z: anp.where(z > 0, z, 0.3 * z)),
        ("leaky_relu", {"slope": 0.0}, FORMULAS["relu"]),
        ("leaky_relu", {"slope": 1.0}, FORMULAS["identity"]),
        ("elu", {"alpha": 0.4}, lambda z: anp.where(z > 0, z, 0.4 * (anp.exp(z) - 1))),
    ],
)
@examples(3)
@given(seed=seeds)
def test_parameters_of_activations(name, parameters, f, seed):
    assert_exact(Problem(network_of(ACTIVATIONS[name](**parameters)), 2, 5, seed), 1, f)


@every_residual
@examples(3)
@given(seed=seeds)
def test_regression_on_one_number_from_one_number(residual, seed):
    assert_exact(Problem(network_of(n_in=1, n_out=1, residual=residual, loss="squared_error"), 2, 4, seed), 1)


@every_activation
@every_normalization
@every_residual
@examples(2)
@given(seed=seeds)
def test_float32_finds_the_same_gradient(activation, normalization, residual, seed):
    architecture = network_of(activation, normalization=normalization, residual=residual, width=16)
    exact, rounded = (Problem(architecture, 2, 16, seed, dtype=dtype) for dtype in (np.float64, np.float32))
    assert rounded.network.gradient.dtype == rounded.network.layers[0].z.dtype == np.float32
    assert_close(rounded.network.gradient, exact.network.gradient, 1e-3, 0)


@every_normalization
@every_residual
@examples(3)
@given(seed=seeds)
def test_a_gradient_is_linear_in_the_cotangent(normalization, residual, seed):
    problem = Problem(network_of(normalization=normalization, residual=residual), 2, 4, seed)
    network = problem.network
    own, shape = network.gradient.copy(), network.layers[-1].delta.shape
    one, other = np.random.default_rng(1).normal(size=(2, *shape))
    gradients = []
    for cotangent in (network.layers[-1].delta.copy(), one, other, one - 3 * other):
        network.backward(cotangent)
        gradients.append(network.gradient.copy())
    assert np.array_equal(gradients[0], own)
    assert_close(gradients[3], gradients[1] - 3 * gradients[2], 1e-13, 0)
