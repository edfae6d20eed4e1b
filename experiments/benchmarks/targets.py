"""What the step is meant to reach, and what it reaches in its worst case; and what bare matrix products would."""

from collections.abc import Callable
from dataclasses import dataclass
from operator import ge, le

from .cases import CASES, Case

Results = dict[str, dict]


@dataclass(frozen=True)
class Target:
    """A bound on the ratio of two contenders in the cases it is for; each without norms if one of them has none."""

    over: tuple[str, str]  # time of the first over time of the second
    bound: Callable[[float, float], bool]
    limit: float
    text: str
    cases: Callable[[Case], bool]

    def row(self, results: Results) -> list[str] | None:
        """Text, worst case, its ratio, the floor's in our place, and whether the bound holds in every case."""
        above, below = self.over
        measured = {
            case.name: results[case.name]["microseconds"]
            for case in CASES
            if case.name in results and self.cases(case) and above in results[case.name]["microseconds"]
        }
        if not measured:
            return None
        ratios = {name: each[above] / each[below] for name, each in measured.items()}
        name = (min if self.bound is ge else max)(ratios, key=lambda name: ratios[name])
        met = sum(self.bound(round(ratio, 2), self.limit) for ratio in ratios.values())
        bare = "" if below == "floor" else f"{measured[name][above] / measured[name]['floor']:.2f}×"
        return [self.text, f"{met} of {len(ratios)}", name, f"{ratios[name]:.2f}×", bare]


def ten_by_64(case: Case) -> bool:
    return (case.depth, case.width, case.dtype, case.normalization) == (10, 64, "float64", "none")


def narrow(case: Case) -> bool:
    return case.width <= 64


def every(case: Case) -> bool:
    return True


OURS, BARE = "backscope", "backscope, no norms"
TARGETS = [
    Target(
        (OURS, "floor"), le, 1.25, "SGD at 10×64 f64: ≤ 1.25 × floor", lambda c: ten_by_64(c) and c.optimizer == "sgd"
    ),
    Target(
        (OURS, "floor"), le, 1.5, "Adam at 10×64 f64: ≤ 1.5 × floor", lambda c: ten_by_64(c) and c.optimizer == "adam"
    ),
    Target((OURS, "floor"), le, 1.3, "16 replicas of 10×16: ≤ 1.3 × floor", lambda c: c.replicas == 16),
    Target(("PyTorch eager", OURS), ge, 3.5, "PyTorch eager takes ≥ 3.5 ×, to width 64", narrow),
    Target(("scikit-learn, no norms", BARE), ge, 2.5, "scikit-learn takes ≥ 2.5 ×, to width 64", narrow),
    Target(("JAX jit", OURS), ge, 1.0, "JAX jit takes ≥ 1 ×", every),
    Target(("JAX scan", OURS), ge, 0.8, "JAX scan takes ≥ 0.8 ×", every),
]
