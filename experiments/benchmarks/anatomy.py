"""Where a step's time goes: backscope's own step with a clock on what it is made of.

What is left over is Python between the calls, and waiting for memory that an earlier part pushed out of the cache.
"""

import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np

from backscope.nn import layers, network
from backscope.nn.losses import LOSSES
from backscope.nn.network import Network
from backscope.nn.normalization import NORMALIZATIONS
from backscope.probes import PROBES

from .cases import Case
from .contenders import ours

PARTS = ("batch", "matrix products", "f", "f′ ⊙", "normalization", "loss", "norms", "optimizer")


class Clock:
    """Seconds and calls of each part."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: Counter[str] = Counter()

    def on(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with a clock on it."""

        def clocked(*arguments: Any, **keywords: Any) -> Any:
            start = time.thread_time()
            result = function(*arguments, **keywords)
            self.seconds[part] += time.thread_time() - start
            self.calls[part] += 1
            return result

        return clocked


def measure(case: Case, rounds: int) -> dict[str, float]:
    """Microseconds a step of each part: medians over rounds, less what the clocks themselves take."""
    clock, took = Clock(), []
    with clocked(clock, case) as (net, optimizer, x, y):
        grad_norm = clock.on("norms", PROBES["grad_norm"].measure)
        update = clock.on("optimizer", optimizer.update)
        for _ in range(rounds):
            clock.seconds.clear()
            clock.calls.clear()
            for step in range(case.steps):
                net.forward(x[step], y[step])
                net.backward()
                grad_norm(net)
                update(net.theta, net.gradient, case.lr)
            took.append(dict(clock.seconds))
    idle = cost()
    return {
        part: 1e6 * (statistics.median(each[part] for each in took) - idle * clock.calls[part]) / case.steps
        for part in PARTS
        if clock.calls[part]
    }


@contextmanager
def clocked(clock: Clock, case: Case) -> Iterator[tuple[Network, Any, np.ndarray, np.ndarray]]:
    """The contender `ours` with its calls clocked, after a step that made its buffers."""
    numpy = vars(np) | {"matmul": clock.on("matrix products", np.matmul)}
    numpy |= {"multiply": clock.on("f′ ⊙", np.multiply), "add": clock.on("normalization", np.add)}
    with ExitStack() as stack:
        stack.enter_context(patch.object(layers, "np", SimpleNamespace(**numpy)))
        stack.enter_context(patch.object(layers, "batch_sum", clock.on("normalization", layers.batch_sum)))
        copying = SimpleNamespace(**vars(np) | {"copyto": clock.on("batch", np.copyto)})
        stack.enter_context(patch.object(network, "np", copying))
        for part, classes in (("normalization", NORMALIZATIONS), ("loss", LOSSES)):
            for owner in classes.values():
                for name in {"forward", "backward", "__call__", "delta"} & vars(owner).keys():
                    stack.enter_context(patch.object(owner, name, clock.on(part, getattr(owner, name))))
        net, optimizer, x, y = ours.build(case)
        for layer in net.layers[:-1]:
            assert layer.activation is not None
            layer.activation = replace(layer.activation, f=clock.on("f", layer.activation.f))
        net.forward(x[0], y[0])
        f = net.architecture.activation
        f = replace(f, f_prime=clock.on("f′ ⊙", f.f_prime))
        net.hidden = [replace(block, activation=f) for block in net.hidden]
        yield net, optimizer, x, y


def cost(calls: int = 20_000) -> float:
    """Seconds that a clock sees when nothing happens."""
    clock = Clock()
    nothing = clock.on("nothing", lambda *arguments, **keywords: None)
    for _ in range(calls):
        nothing(clock, clock, out=clock)
    return clock.seconds["nothing"] / calls
