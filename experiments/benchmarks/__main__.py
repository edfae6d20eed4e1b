"""`python -m experiments.benchmarks [step] [sweep] [growth]`: measure, then write README.md and the figures."""

import argparse

from . import step
from .cases import CASES


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.benchmarks", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], "step", "sweep", "growth"], help="default: all three")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--case", default="")
    a = parser.parse_args()
    step.run([c for c in CASES if a.case in c.name], a.rounds)


main()
