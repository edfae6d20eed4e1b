"""README.md and its figures, from results.json: what was measured, in tables."""

import json
import os
import platform
from pathlib import Path

from . import figures
from .anatomy import PARTS as OF_A_STEP
from .sweep import PRECISIONS
from .targets import TARGETS

CONTENDERS = {"2 workers": "backscope, 2 workers", "1 worker": "backscope, 1 worker", "peer": "peer stack"}

INTRODUCTION = """# Speed

*Written by `make bench`; do not edit. {machine}. Ratios travel to other machines, seconds do not.*

`make bench` measures all that stands here, `make bench ARGS=step` (or `sweep`, `growth`) a part of it.
"""
STEP = """## The step

Microseconds for one training step, with the gradient norm of every layer, on digits (64 inputs, 10 classes). All in one
process on one core, in turns, block by block; times are medians, ratios are taken within a round of turns and then
their median. *Floor* is the least that can be done with NumPy: the bare matrix products of the same shapes and one call
of the activation's own ufunc a layer. *PyTorch fused* has the fused optimizer for CPUs; *JAX scan* runs a whole block
of steps as one compiled loop, which rules out looking at any of them in between. scikit-learn reports no norms.

![times over backscope's](step.svg)
"""
ANATOMY = """
Where a step's microseconds go: the step again, with a clock on each part. *f′ ⊙* is the derivative and its product with
∂L/∂a; *the rest* is Python between NumPy's calls, and waiting for memory that another part pushed out of the cache.

"""
LIMITS = """
What the floor is made of is *matrix products* and *f*. The rest stands above it because NumPy cannot fuse: a compiler
makes one pass over memory where it needs several.

- f′ ⊙ takes three passes: compare, convert to numbers and multiply for ReLU; square, subtract and multiply for tanh.
- Batch normalization takes six passes a layer that shift or scale each unit by a number of its own. NumPy does that
  unit by unit, at 2–3 times the cost of a pass through an array.
- Of Adam's ten passes one is `np.sqrt`, which NumPy 2.4 does two numbers at a time (SSE) where AVX-512 does eight; it
  alone takes two fifths of Adam's time in float64.
- A call takes 0.3–0.5 µs before it begins. There are five a layer, and at width 16 they are little else.
- Of the three products of a layer one has its operands the way that BLAS is slowest at (1.6 times as slow at
  64×64 with AVX-512), however arrays lie in memory. The floor has one too, in another place.

JAX's scan escapes all of it, by compiling the loop, and with that nobody can look at a step. Where not even bare matrix
products would reach a target, the last column above says so.
"""
SWEEP = """## The sweep

{runs} runs: the default study's configurations, from starting the command to its end, into a fresh store. The peer is
what a user would write today ([peer_stack](peer_stack/app.py)): PyTorch, Hydra's basic launcher and MLflow's fluent
logging, which tracks one gradient norm a layer at 20 steps, where backscope tracks every default probe. It runs one
initialization of the study's, and the rest is extrapolated from the time between its first and its last run. *A run*:
from the first run's start to the last one's end, over their number. PyTorch computes in float32 unless told otherwise,
backscope in float64, in which a gradient may vanish to 10⁻³⁰⁸ before it is 0; both are measured in both.
"""
SWEEP_LIMITS = """
Of a run's {run:.0f} ms with 1 worker in float64, {training:.0f} are training and {tracking:.0f} tracking:
MLflow writes the 240 values of an average run through SQLAlchemy, an object each. Files and spool, which backscope
adds, are two of them.
"""
PARTS = """
Where our time goes, in float64 and with all runs in one process:

![parts](sweep.svg)
"""
GROWTH = """## Growth

Around {base}, one axis at a time; the slopes are those of a line through the upper half of the points on logarithmic
axes, where 1 is linear. Memory is what one run allocates, its data included; for sweeps it is the resident set of the
largest process.

![growth](growth.svg)
"""


def overruled() -> str:
    """The variables that keep BLAS from choosing the kernels of this processor, as they are set; empty if none is."""
    names = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "MKL_ENABLE_INSTRUCTIONS")
    return " ".join(f"{name}={os.environ[name]}" for name in names if name in os.environ)


def machine() -> str:
    """Processor, versions, and the kernels that NumPy's BLAS chose or was told to take."""
    import numpy as np
    from threadpoolctl import threadpool_info

    names = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(": ")[1] for line in names if line.startswith("model name")), platform.machine())
    blas = next((each for each in threadpool_info() if "numpy.libs" in each["filepath"]), {})
    kernels = f"{blas.get('internal_api')} {blas.get('version')}, {blas.get('architecture')} kernels"
    kernels += f" because of {overruled()}" if overruled() else ""
    words = [model, f"Python {platform.python_version()}", f"NumPy {np.__version__} with {kernels}"]
    return ", ".join(words + [f"{name} {version}" for name, version in versions().items()])


def versions() -> dict[str, str]:
    """Of the peers that are installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for name in ("torch", "jax", "scikit-learn", "hydra-core", "mlflow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def write(results: dict, folder: Path) -> None:
    """results.json, README.md and the figures."""
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    parts = [INTRODUCTION.format(machine=results["machine"])]
    for name, section in (("step", step), ("sweep", sweep), ("growth", growth)):
        if name in results:
            getattr(figures, name)(results[name], folder / f"{name}.svg")
            parts.append(section(results[name]))
    (folder / "README.md").write_text("\n".join(parts))


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def step(results: dict) -> str:
    labels = list(dict.fromkeys(label for each in results.values() for label in each["microseconds"]))
    normed = [label for label in labels if "no norms" not in label]
    bare = [label for label in labels if "no norms" in label]
    text = STEP + "\nMicroseconds a step (in brackets: a replica), and times over backscope's:\n\n"
    text += table(
        ["network", *normed],
        [[name, *(cell(each, label, "backscope") for label in normed)] for name, each in results.items()],
    )
    text += "\nThe same without norms:\n\n"
    text += table(
        ["network", *(label.split(",")[0] for label in bare)],
        [[name, *(cell(each, label, "backscope") for label in bare)] for name, each in results.items()],
    )
    text += targets(results)
    text += "\nTimes over the floor's:\n\n"
    text += table(
        ["network", *normed[1:]],
        [[name, *(over(each, label, "floor") for label in normed[1:])] for name, each in results.items()],
    )
    return text + compilation(results) + parts_of_a_step(results) + left_out(results)


def targets(results: dict) -> str:
    """Which of the project's targets are met, in how many networks."""
    rows = [row for target in TARGETS if (row := target.row(results))] + [*together(results), *compiled(results)]
    return "\nWhat the step is meant to reach:\n\n" + table(
        ["target", "met", "worst case", "reached there", "by the floor"], rows
    )


def together(results: dict) -> list[list[str]]:
    """What a replica of 16 costs, over a network of its own."""
    alone, sixteen = (results.get(f"10×16 tanh sgd f64 B=32{more}") for more in ("", " 16 replicas"))
    if not (alone and sixteen):
        return []
    ratio = sixteen["microseconds"]["backscope"] / 16 / alone["microseconds"]["backscope"]
    return [
        ["a replica of 16 takes ≤ 0.5 × a network of its own", f"{ratio <= 0.5:d} of 1", "10×16", f"{ratio:.2f}×", ""]
    ]


def compiled(results: dict) -> list[list[str]]:
    """JAX's scan over a run of 200 steps, with its compilation."""
    ratios = {
        name: seconds(each, "JAX scan") / seconds(each, "backscope")
        for name, each in results.items()
        if "JAX scan" in each["before"]
    }
    if not ratios:
        return []
    worst, met = min(ratios, key=lambda name: ratios[name]), sum(ratio > 1 for ratio in ratios.values())
    text = "JAX scan takes > 1 × over 200 steps with compilation"
    return [[text, f"{met} of {len(ratios)}", worst, f"{ratios[worst]:.2f}×", ""]]


def seconds(result: dict, label: str) -> float:
    """A run of 200 steps, with all that comes before the first."""
    return result["before"][label] + 200e-6 * result["microseconds"][label]


def parts_of_a_step(results: dict) -> str:
    rows = []
    for name, each in results.items():
        parts, whole = each["anatomy"], each["microseconds"]["backscope"]
        cells = [f"{parts[part]:,.0f}" if part in parts else "–" for part in OF_A_STEP]
        rows.append([name, *cells, f"{whole - sum(parts.values()):,.0f}", f"{whole:,.0f}"])
    return ANATOMY + table(["network", *OF_A_STEP, "the rest", "a step"], rows) + LIMITS


def cell(result: dict, label: str, base: str) -> str:
    if label not in result["microseconds"]:
        return "–"
    microseconds = f"{result['microseconds'][label]:,.0f}"
    if result["replicas"] > 1:
        microseconds += f" ({result['microseconds'][label] / result['replicas']:,.1f})"
    return f"{microseconds} · {over(result, label, base)}"


def over(result: dict, label: str, base: str) -> str:
    ratio = result["over"].get(base, {}).get(label)
    return "–" if ratio is None else f"{ratio:.2f}×"


def compilation(results: dict) -> str:
    """A run of 200 steps, with all that comes before the first."""
    labels = [
        label
        for label in ("backscope", "torch.compile", "JAX jit", "JAX scan")
        if any(label in each["before"] for each in results.values())
    ]
    rows = []
    for name, each in results.items():
        rows.append([name, *(f"{seconds(each, label):.2f} s" if label in each["before"] else "–" for label in labels)])
    return (
        "\nA run of 200 steps with building and compiling the network, which a sweep pays for every architecture:\n\n"
        + table(["network", *labels], rows)
    )


def left_out(results: dict) -> str:
    """Contenders that are missing, by name."""
    reasons = {(label, why) for each in results.values() for label, why in each["missing"].items()}
    lines = [f"- {label}: {why}" for label, why in sorted(reasons)]
    return "\nLeft out, everywhere or where they cannot do the case:\n\n" + "\n".join(lines) + "\n" if lines else ""


def sweep(results: dict) -> str:
    rows = []
    for dtype in PRECISIONS:
        best = results[dtype]["2 workers"]
        for label, each in results[dtype].items():
            whole, span = (f"{each[name] / best[name]:.2f}×" for name in ("whole", "span"))
            run = f"{1e3 * each['span'] / results['runs']:.0f} ms"
            rows.append([f"{CONTENDERS[label]}, {dtype}", f"{each['whole']:.1f} s", whole, run, span])
    text = SWEEP.format(runs=results["runs"]) + "\n" + table(["", "in all", "", "a run", ""], rows)
    text += "\nWhat the sweep is meant to reach:\n\n" + table(["target", *PRECISIONS], sweep_targets(results))
    run = {part: 1e3 * results["parts"][part] / results["runs"] for part in ("training", "tracking")}
    text += SWEEP_LIMITS.format(run=1e3 * results[PRECISIONS[0]]["1 worker"]["span"] / results["runs"], **run)
    whole = sum(results["parts"].values())
    shares = [[name, f"{seconds:.2f} s", f"{seconds / whole:.0%}"] for name, seconds in results["parts"].items()]
    missing = "".join(f"\nLeft out: {label}: {why}\n" for label, why in results["missing"].items())
    return text + PARTS + "\n" + table(["part", "seconds", "share"], shares) + missing


def sweep_targets(results: dict) -> list[list[str]]:
    """The targets, and what is reached in each precision."""
    rows = {"108 runs take ≤ 20 s": [], "the second worker gives ≥ 1.7 ×": [], "the peer takes ≥ 6 × a run": []}
    for dtype in PRECISIONS:
        two, one, peer = (results[dtype].get(label) for label in ("2 workers", "1 worker", "peer"))
        reached = (
            f"{two['whole']:.1f} s",
            f"{one['span'] / two['span']:.2f} ×",
            peer and f"{peer['span'] / two['span']:.1f} ×",
        )
        for row, value in zip(rows.values(), reached, strict=True):
            row.append(value or "–")
    training = results["parts"]["training"] / sum(results["parts"].values())
    return [[text, *row] for text, row in rows.items()] + [["all but training: ≤ 50 %", f"{1 - training:.0%}", ""]]


def growth(results: dict) -> str:
    from .growth import BASE

    size = BASE["model.depth"], BASE["model.width"], BASE["training.batch_size"], BASE["training.steps"]
    base = "{}×{} tanh in batches of {} for {} steps".format(*size)
    rows = []
    for axis, curve in results.items():
        values, slopes = curve["values"], curve["slope"]
        ends = [f"{curve[unit][0]:.3g} … {curve[unit][-1]:.3g}" for unit in ("seconds", "megabytes")]
        rows.append(
            [
                figures.TITLES[axis],
                f"{values[0]} … {values[-1]}",
                ends[0],
                f"{slopes['seconds']:.2f}",
                ends[1],
                f"{slopes['megabytes']:.2f}",
            ]
        )
    text = GROWTH.format(base=base) + "\n" + table(["axis", "from … to", "seconds", "slope", "MB", "slope"], rows)
    values, took = results["runs"]["values"], results["runs"]["seconds"]
    if len(values) > 1:
        each = 1e3 * (took[-1] - took[-2]) / (values[-1] - values[-2])
        text += (
            f"\nA sweep's first seconds are imports; from {values[-2]} to {values[-1]} runs, each adds {each:.0f} ms.\n"
        )
    return text
