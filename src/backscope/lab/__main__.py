"""The command `python -m backscope.lab`: runs an ablation, evaluates its claims, and writes its page of the lab book.

Exit status: 0 if every claim holds, 1 if one does not, 2 for what is not allowed.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from backscope.process import use_one_thread


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    use_one_thread()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    parser = argparse.ArgumentParser("python -m backscope.lab", description="Re-verify the claims of an ablation.")
    parser.add_argument("name", nargs="?", help="a folder of experiments/ with a claims.yaml")
    parser.add_argument(
        "overrides", nargs="*", help="of its configuration, such as model.width=64; the README then stays"
    )
    parser.add_argument("--all", action="store_true", help="every ablation, and the index of the lab book")
    parser.add_argument("--again", action="store_true", help="evaluate the newest sweep again instead of running one")
    parser.add_argument("--list", action="store_true", help="print what a claims.yaml can measure, predict and draw")
    options = parser.parse_intermixed_args(arguments)
    from backscope.config import ConfigError
    from backscope.lab.book import names
    from backscope.lab.registry import LabError
    from backscope.tracking.store import StoreError

    try:
        if options.list:
            return _list()
        if options.all:
            return _all(options.again)
        if options.name is None:
            parser.error(f"which ablation? {', '.join(names())}")
        return 0 if ablation(options.name, options.overrides, options.again) else 1
    except (LabError, StoreError, ConfigError) as error:
        print(f"backscope.lab: {error}", file=sys.stderr)
        return 2


def ablation(name: str, overrides: Sequence[str] = (), again: bool = False) -> bool:
    """Sweep, evaluate, publish and, unless overrides change what is run, write the README; whether all claims hold."""
    from backscope.lab import book, claims, figures, sweeps
    from backscope.lab.registry import pick

    found = claims.read(pick("ablation", name, {each: book.BOOK / each for each in book.names()}))
    drawings = figures.parse(found.figures)
    if not again:
        sweeps.start(name, overrides)
    began = time.perf_counter()
    sweep = sweeps.load(name, overrides)
    results = [claims.evaluate(claim, sweep.runs, sweep.missing) for claim in found.claims]
    pictures = figures.draw(drawings, sweep.runs)
    seconds = sweep.seconds + time.perf_counter() - began
    page = book.Page(name, results, sweep.jobs, seconds, list(drawings), sweep.provenance)
    book.show(page, _console())
    sweeps.publish(sweep, {**pictures, **book.files(page)})
    if not sweep.overrides and not sweep.missing:
        book.write(page, pictures)
    return page.held == len(results)


def _all(again: bool) -> int:
    """Every ablation, and the index; what keeps one from being evaluated stops no other."""
    from backscope.config import ConfigError
    from backscope.lab import book
    from backscope.lab.registry import LabError
    from backscope.tracking.store import StoreError

    failed = []
    for name in book.names():
        print(f"── {name}", flush=True)
        try:
            held = ablation(name, again=again)
        except (LabError, StoreError, ConfigError, SystemExit) as error:
            print(f"backscope.lab: {name}: {error}", file=sys.stderr)
            held = False
        failed += [] if held else [name]
    book.write_index(book.names())
    print(f"not all claims hold: {', '.join(failed)}" if failed else "all claims hold")
    return 1 if failed else 0


def _list() -> int:
    """What a claims.yaml can say."""
    from backscope.lab.figures import FIGURES
    from backscope.lab.measures import OF_RUN, OF_RUNS
    from backscope.lab.predictions import PREDICTIONS

    kinds = {
        "measures of a run": OF_RUN,
        "measures of several runs": OF_RUNS,
        "predictions": PREDICTIONS,
        "figures": FIGURES,
    }
    for title, registry in kinds.items():
        print(f"{title}")
        for call, sentence in registry.lines():
            print(f"  {call}\n      {' '.join(sentence.split())}")
    return 0


def _console() -> Console:
    plain = Console()
    return plain if plain.is_terminal else Console(width=180)


if __name__ == "__main__":
    sys.exit(main())
