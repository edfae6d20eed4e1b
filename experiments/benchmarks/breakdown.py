"""Where a sweep's time goes: the command `backscope` with its runs in one process and a clock on each of its parts.

`python -m experiments.benchmarks.breakdown OVERRIDES…` prints the seconds of each part as JSON, on the last line.
"""

import time

STARTED = time.perf_counter()

import importlib  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
from collections import defaultdict  # noqa: E402
from concurrent.futures import Executor, Future  # noqa: E402

# what is clocked, where it is looked up when it is called, and the part it belongs to
CLOCKED = [
    ("backscope.app", "hydra_main", "start"),
    ("hydra_plugins.backscope.sweeper", "prepare", "composition"),
    ("backscope.sweep", "Sweep._open", "opening the store"),
    ("backscope.app", "start_worker", "start"),
    ("backscope.app", "store_of", "opening the store"),
    ("backscope.data", "load", "data"),
    ("backscope.training", "train", "training"),
    ("backscope.analysis.diagnosis", "diagnose", "verdict"),
    ("backscope.tracking.spool", "send", "tracking"),
    ("backscope.sweep", "Sweep._report", "report and figures"),
]
SECONDS: dict[str, float] = defaultdict(float)
INSIDE: list[float] = [0.0]  # of each clocked call under way: what clocked calls within it took


def clock(module: str, name: str, part: str) -> None:
    """Replace a function by itself with a clock on it, less what is clocked within it."""
    owner = importlib.import_module(module)
    *path, attribute = name.split(".")
    for each in path:
        owner = getattr(owner, each)
    function = getattr(owner, attribute)

    def clocked(*arguments, **keywords):
        INSIDE.append(0.0)
        start = time.perf_counter()
        try:
            result = function(*arguments, **keywords)
        finally:
            took = time.perf_counter() - start
            SECONDS[part] += took - INSIDE.pop()
            INSIDE[-1] += took
        for each in ("probes", "theory", "evaluation") if part == "training" else ():
            SECONDS[each] += result.seconds[each]
            SECONDS[part] -= result.seconds[each]
        return result

    setattr(owner, attribute, clocked)


class Inline(Executor):
    """Runs what is submitted at once, in this process, in place of loky's pool of processes."""

    _processes = ()

    def submit(self, function, /, *arguments):
        future: Future = Future()
        try:
            future.set_result(function(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future


def main(overrides: list[str]) -> None:
    from hydra.core.plugins import Plugins

    Plugins.instance()  # Hydra executes plugins' modules anew when it looks for them, and with that undoes the clocks
    from hydra_plugins.backscope import launcher

    for module, name, part in CLOCKED:
        clock(module, name, part)
    app = importlib.import_module("backscope.app")
    app.start_worker()  # a worker's imports, which all its runs share
    launcher.get_reusable_executor = lambda *_, **__: Inline()
    from backscope.__main__ import main as backscope

    status = backscope(overrides)
    whole = time.perf_counter() - STARTED
    SECONDS["start"] += whole - sum(SECONDS.values())
    print(json.dumps(SECONDS))
    sys.exit(status)


if __name__ == "__main__":
    main(sys.argv[1:])
