"""JAX: one jitted step called from Python, or (`scan`) the whole block as one compiled lax.scan."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from ..cases import Case, batches, weights

jax.config.update("jax_enable_x64", True)
ACTIVATIONS = {"tanh": jnp.tanh, "relu": jax.nn.relu}


def batch_norm(z, layer, eps=1e-5):
    mean, variance = z.mean(axis=0), z.var(axis=0)
    return (z - mean) / jnp.sqrt(variance + eps) * layer["gain"], (mean, variance)


def loss(layers, x, y, case):
    """Mean cross-entropy of one network on x (B, n_in), and the statistics of its batch norms."""
    a, statistics = x, []
    for layer in layers[:-1]:
        z = a @ layer["W"].T
        if case.normalization == "batch_norm":
            z, moments = batch_norm(z, layer)
            statistics.append(moments)
        a = ACTIVATIONS[case.activation](z + layer["b"])
    log_p = jax.nn.log_softmax(a @ layers[-1]["W"].T + layers[-1]["b"])
    return -jnp.take_along_axis(log_p, y[:, None], axis=1).mean(), statistics


def train_step(state, batch, case, norms):
    """One step; state = (layers, running statistics, Adam's moments, t)."""
    layers, running, moments, t = state
    grads, statistics = jax.grad(loss, has_aux=True)(layers, *batch, case)
    running = jax.tree.map(lambda r, s: 0.9 * r + 0.1 * s, running, statistics)
    t = t + 1
    if case.optimizer == "adam":
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, moments[0], grads)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, moments[1], grads)
        rate, scale = case.lr / (1 - 0.9**t), 1 / (1 - 0.999**t)
        update = jax.tree.map(lambda m, v: rate * m / (jnp.sqrt(scale * v) + 1e-8), m, v)
        moments = (m, v)
    else:
        update = jax.tree.map(lambda g: case.lr * g, grads)
    layers = jax.tree.map(jnp.subtract, layers, update)
    trace = jnp.stack([jnp.linalg.norm(g["W"]) for g in grads]) if norms else None
    return (layers, running, moments, t), trace


def initial_state(case: Case):
    layers = [{"W": jnp.asarray(w), "b": jnp.zeros(w.shape[:2], w.dtype)} for w in weights(case)]
    running = []
    if case.normalization == "batch_norm":
        for layer in layers[:-1]:
            layer["gain"] = jnp.ones_like(layer["b"])
            running.append((jnp.zeros_like(layer["b"]), jnp.ones_like(layer["b"])))
    adam = case.optimizer == "adam"
    moments = tuple(jax.tree.map(jnp.zeros_like, layers) for _ in range(2)) if adam else ()
    return layers, running, moments, jnp.zeros(case.replicas, case.dtype)


def make(case: Case, *, norms: bool, scan: bool = False) -> Callable[[], None]:
    step = partial(train_step, case=case, norms=norms)
    state = initial_state(case)
    x, y = (jnp.asarray(array) for array in batches(case))
    if case.replicas > 1:
        step = jax.vmap(step)
    else:
        state = jax.tree.map(lambda array: array[0], state)
        x, y = x[:, 0], y[:, 0]
    if scan:
        compiled = jax.jit(lambda state, batches: jax.lax.scan(step, state, batches), donate_argnums=0)
    else:
        compiled = jax.jit(step, donate_argnums=0)
    # made once: slicing a JAX array is a dispatch of its own, and unpacking one is compiled
    singles = [(jnp.asarray(a), jnp.asarray(b)) for a, b in zip(np.asarray(x), np.asarray(y), strict=True)]

    def block() -> None:
        nonlocal state
        if scan:
            state, trace = compiled(state, (x, y))
        else:
            for batch in singles:
                state, trace = compiled(state, batch)
        jax.block_until_ready((state, trace))

    return block
