"""`make reproduce`: run again what was recorded, and compare every number with it, bit for bit.

RUN=<run id> or RUN=latest compares with a run in MLflow, CONFIG=<config.yaml> with the trace.parquet beside it, and
EXPERIMENT=<name> an ablation with what the lab book has committed. Nothing is tracked or overwritten. Durations are
not compared. Exit status: 0 if all is identical, or within the relative tolerance that was given, 1 if it is not, 2
for what is not allowed.
"""

import argparse
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from backscope.commands import command
from backscope.config import ConfigError
from backscope.tracking import comparing, original, reader, recorder
from backscope.tracking.provenance import provenance


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; of several runs, the worst exit status is returned."""
    return command(_reproduce, arguments)


def _reproduce(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    if sum(map(bool, (options.runs, options.config, options.experiment))) != 1:
        raise ConfigError(
            "reproduce: allowed is one of RUN=<run id>|latest, CONFIG=<config.yaml> and EXPERIMENT=<ablation>"
        )
    tolerance = _tolerance(options.tolerance)
    if options.experiment:
        return _experiment(options.experiment, tolerance)
    if options.config:
        return _check(original.of_file(Path(options.config), Path(options.trace) if options.trace else None), tolerance)

    def one(run_id: str) -> int:
        return command(lambda _: _check(original.of_run(run_id, options.uri), tolerance))

    return max(map(one, options.runs))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="backscope.commands.reproduce", description="Run again what was recorded, and compare bit for bit."
    )
    parser.add_argument("runs", nargs="*", metavar="RUN", help="the id of a finished run in MLflow, or latest")
    parser.add_argument("--config", metavar="FILE", help="a run's config.yaml; the trace.parquet beside it is compared")
    parser.add_argument("--trace", metavar="FILE", help="a trace that is not beside the config.yaml")
    parser.add_argument("--experiment", metavar="NAME", help="an ablation, compared with its folder in experiments/")
    parser.add_argument("--tolerance", default="0", help="accept relative differences up to this (default: none)")
    parser.add_argument("--uri", help="the store of the runs (default: mlflow.db at the top of the project)")
    return parser


def _tolerance(text: str) -> float:
    try:
        if math.isfinite(value := float(text)) and value >= 0:
            return value
    except ValueError:
        pass
    raise ConfigError(f"--tolerance={text}: allowed is a number ≥ 0")


def _check(recorded: original.Original, tolerance: float) -> int:
    """Run a configuration again, without tracking, and print how it compares with what was recorded."""
    from backscope.app import measure
    from backscope.display import show_run

    print(recorded.name)
    for line in recorded.altered:
        print(f"altered: {line}")
    record, verdict = measure(recorded.config)
    if recorded.trace is None:
        show_run(record, verdict, None)
        raise ConfigError(f"CONFIG={recorded.name}: nothing to compare this with: there is no trace.parquet beside it")
    entry = recorder.entry(record, verdict, name="", series=recorded.config.tracking.series)
    kinds = {"measurements": comparing.compare(recorded.trace, reader.parse(entry.files["trace.parquet"]))}
    if recorded.metrics is not None:
        now = comparing.metrics((point.key, point.step, point.value) for point in entry.points)
        kinds = {"metrics": comparing.compare(recorded.metrics, now), **kinds}
    judged = recorded.tags.get("verdict", verdict.name)
    if judged != verdict.name:
        print(f"different: the verdict is {judged} as recorded, {verdict.name} now")
    accepted = _report(kinds, tolerance)
    if recorded.tags:
        data = {"data": record.data["digest"]} if "data" in recorded.tags else {}
        _report_circumstances(recorded.tags, provenance() | data)
    return 0 if accepted and not recorded.altered and judged == verdict.name else 1


def _report(kinds: dict[str, comparing.Comparison], tolerance: float) -> bool:
    """Print what differs; whether nothing does by more than the tolerance."""
    differing = {kind: found for kind, found in kinds.items() if len(found.differing)}
    if not differing:
        counts = [f"{found.names if kind == 'metrics' else found.values:,} {kind}" for kind, found in kinds.items()]
        print(f"identical: {', '.join(counts)}, bit for bit")
        return True
    largest = max(found.largest for found in differing.values())
    accepted = largest <= tolerance > 0 and not any(found.unpaired for found in differing.values())
    print(f"within the tolerance of {tolerance:g}:" if accepted else "different:")
    for kind, found in differing.items():
        values = "values of metrics" if kind == "metrics" else kind
        missing = f", {found.unpaired:,} of them because one side has none" if found.unpaired else ""
        count = f"{len(found.differing):,} of {found.values:,} {values}"
        print(f"  {count}, by at most {found.largest:.2g} relative{missing}")
        print(f"  first {found.first}")
    return accepted


def _report_circumstances(recorded: Mapping[str, str], now: Mapping[str, str]) -> None:
    others = comparing.circumstances(recorded, now)
    same = "code, libraries, BLAS, CPU and threads are those of the recording"
    print(f"not as when recorded: {'; '.join(others)}" if others else same)


def _experiment(name: str, tolerance: float) -> int:
    """Sweep an ablation in a store of its own, and compare its claims with the committed ones."""
    from backscope.lab import committed
    from backscope.lab.registry import LabError

    try:
        recorded = committed.read(name)
        now = committed.again(name)
    except LabError as error:
        raise ConfigError(str(error)) from error
    differences = committed.differences(recorded.claims, now.claims, tolerance)
    if differences:
        print("\n  ".join([f"different: {len(differences)} of {len(now.claims)} claims", *differences]))
    timed = sum(claim["is a time"] for claim in now.claims)
    untimed = f"; of {timed} that are times, the verdict" if timed else ""
    if not differences:
        how = "bit for bit" if committed.exact(recorded.claims, now.claims) else "to every printed digit"
        within = f"within the tolerance of {tolerance:g}" if tolerance else "identical"
        print(f"{within}: {len(now.claims)} claims{'' if tolerance else f', {how}'}{untimed}")
    _report_circumstances(recorded.made_with, provenance())
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
