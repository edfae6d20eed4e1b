"""`python -m experiments.benchmarks [step] [sweep] [growth]`: measure, then write README.md and its figures."""

import argparse
import json
import tempfile
from pathlib import Path

from . import growth, report, step, sweep
from .cases import CASES

PARTS = ("step", "sweep", "growth")


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="one round of little: does it work?")
    parser.add_argument("--rounds", type=int, default=40, help="of the step (default: 40)")
    parser.add_argument("--case", default="", help="only the networks whose name contains this, such as 10×16")
    parser.add_argument("--out", type=Path, help="the folder to write to (default: this one if all is measured)")
    given = parser.parse_args(arguments)
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"{', '.join(sorted(unknown))}: allowed are {', '.join(PARTS)}")
    given.out = given.out or folder(given)
    given.out.mkdir(parents=True, exist_ok=True)
    kept = given.out / "results.json"
    results = json.loads(kept.read_text()) if kept.exists() else {}
    results["machine"] = report.machine()
    print(results["machine"])
    if report.overruled():
        unset = " ".join(f"-u {each.split('=')[0]}" for each in report.overruled().split())
        print(f"hint: users' machines have no {report.overruled()}, and other kernels: env {unset} make bench")
    for part in given.parts or PARTS:
        results[part] = measure(part, given)
        report.write(results, given.out)
    print(f"written: {given.out / 'README.md'}")


def folder(given: argparse.Namespace) -> Path:
    """Beside the committed page unless this measures less than it shows: then it would lose what is not measured."""
    missing = {"torch", "jax"} - report.versions().keys()
    if not (missing or given.quick or given.case):
        return Path(__file__).parent
    return Path(tempfile.mkdtemp(prefix="backscope-bench-"))


def measure(part: str, given: argparse.Namespace) -> dict:
    cases = [case for case in CASES if given.case in case.name]
    if not given.quick:
        full = {"step": lambda: step.run(cases, given.rounds), "sweep": lambda: sweep.run(3), "growth": growth.run}
        return full[part]()
    axes = {"init": "xavier,he", "activation": "tanh", "depth": "2", "optimizer": "sgd"}
    quick = {
        "step": lambda: step.run(cases[:1], 2),
        "sweep": lambda: sweep.run(1, axes, steps=5),
        "growth": lambda: growth.run(1, {"model.depth": [2, 4]}, [2], steps=5),
    }
    return quick[part]()


if __name__ == "__main__":
    main()
