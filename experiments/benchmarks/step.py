"""Microseconds for one training step with every layer's gradient norm, contenders in turns in one process.

A round gives every contender one block of steps, so that whatever else the machine does hits all of them; times are
medians over the rounds, ratios are taken within a round and then their median. All run on one core, where CPU time is
the time on the clock less what other processes took: that is what is counted.
"""

import gc
import importlib
import os
import statistics
import time
from collections.abc import Callable

from . import anatomy
from .cases import Case

# label -> (module of contenders/, options of its make)
CONTENDERS: dict[str, tuple[str, dict[str, bool]]] = {
    "floor": ("floor", {}),
    "backscope": ("ours", {"norms": True}),
    "PyTorch eager": ("pytorch", {"norms": True}),
    "PyTorch fused": ("pytorch", {"norms": True, "fused": True}),
    "torch.compile": ("pytorch", {"norms": True, "compiled": True}),
    "JAX jit": ("jax_numpy", {"norms": True}),
    "JAX scan": ("jax_numpy", {"norms": True, "scan": True}),
    "backscope, no norms": ("ours", {"norms": False}),
    "PyTorch eager, no norms": ("pytorch", {"norms": False}),
    "JAX jit, no norms": ("jax_numpy", {"norms": False}),
    "JAX scan, no norms": ("jax_numpy", {"norms": False, "scan": True}),
    "scikit-learn, no norms": ("scikit_learn", {}),
}


def run(cases: list[Case], rounds: int) -> dict:
    """The measurements of every case, by its name."""
    if hasattr(os, "sched_setaffinity"):  # JAX hands steps from one thread to another: both get this core
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {max(cores)})
    os.environ["TORCHINDUCTOR_FORCE_DISABLE_CACHES"] = "1"  # a sweep's next architecture is in no cache either
    results = {}
    for case in cases:
        results[case.name] = measure(case, rounds)
        print(describe(case.name, results[case.name]), flush=True)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    return results


def measure(case: Case, rounds: int) -> dict:
    """Of every contender: µs a step, seconds before the first step, times over the floor's and over backscope's."""
    blocks, first_call, missing = prepare(case)
    times: dict[str, list[float]] = {label: [] for label in blocks}
    gc.collect()
    gc.disable()
    start = time.perf_counter()
    for _ in range(rounds):
        for label, block in blocks.items():
            before = time.process_time()
            block()
            times[label].append(time.process_time() - before)
    wall = time.perf_counter() - start
    gc.enable()
    steady = {label: statistics.median(values) for label, values in times.items()}
    return {
        "replicas": case.replicas,
        "microseconds": {label: 1e6 * value / case.steps for label, value in steady.items()},
        "before": {label: max(first_call[label] - steady[label], 0.0) for label in blocks},
        "over": {base: ratios(times, base) for base in ("floor", "backscope") if base in times},
        "quiet": sum(map(sum, times.values())) / wall,
        "anatomy": anatomy.measure(case, rounds),
        "missing": missing,
    }


def prepare(case: Case) -> tuple[dict[str, Callable[[], None]], dict[str, float], dict[str, str]]:
    """Blocks of those that can run the case, seconds each took to be built and run once, reasons of the others."""
    blocks, seconds, missing = {}, {}, {}
    for label, (module, options) in CONTENDERS.items():
        try:
            contender = importlib.import_module(f".contenders.{module}", __package__)
            start = time.perf_counter()
            block = contender.make(case, **options)
            block()
            blocks[label], seconds[label] = block, time.perf_counter() - start
        except (ImportError, NotImplementedError) as reason:
            missing[label] = str(reason)
    return blocks, seconds, missing


def ratios(times: dict[str, list[float]], base: str) -> dict[str, float]:
    """Median over the rounds of each contender's time over the base's time in the same round."""
    return {
        label: statistics.median(t / b for t, b in zip(values, times[base], strict=True))
        for label, values in times.items()
    }


def describe(name: str, result: dict) -> str:
    lines = [f"{name} (machine {result['quiet']:.0%} ours)"]
    for label, value in result["microseconds"].items():
        over = "".join(f"  {ratio[label]:6.2f} × {base}" for base, ratio in result["over"].items())
        lines.append(f"  {label:24s} {value:9.1f} µs{over}  before the first {result['before'][label]:6.2f} s")
    lines.append("  of which: " + ", ".join(f"{part} {value:.1f}" for part, value in result["anatomy"].items()))
    return "\n".join(lines + [f"  {label}: left out: {why}" for label, why in result["missing"].items()])
