"""The benchmarks run, leave out by name what is not installed, and write what they measured."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
WITHOUT_PEERS = """
import sys
class Missing:
    def find_spec(name, path=None, target=None):
        if name in ("torch", "jax"):
            raise ModuleNotFoundError(f"No module named {name!r}")
sys.meta_path.insert(0, Missing)
from experiments.benchmarks.__main__ import main
main(sys.argv[1:])
"""


def measured(folder: Path, *arguments: str) -> dict:
    """What a quick benchmark without PyTorch and JAX writes to results.json."""
    command = [sys.executable, "-c", WITHOUT_PEERS, *arguments, "--quick", "--out", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "results.json").read_text())


def test_step(tmp_path: Path) -> None:
    [step] = measured(tmp_path, "step", "--case", "10×16")["step"].values()
    assert step["microseconds"].keys() == {"floor", "backscope", "backscope, no norms", "scikit-learn, no norms"}
    assert step["over"]["floor"]["backscope"] > 1
    parts = step["anatomy"]
    assert parts.keys() == {"batch", "matrix products", "f", "f′ ⊙", "loss", "norms", "optimizer"}
    assert parts["matrix products"] > parts["batch"]
    assert "PyTorch eager" in step["missing"] and "JAX scan" in step["missing"]
    page = (tmp_path / "README.md").read_text()
    assert "- JAX scan: No module named 'jax'" in page and "| 10×16 tanh sgd f64 B=32 |" in page
    assert "kernels" in page.splitlines()[2]
    assert "| scikit-learn takes ≥ 2.5 ×, to width 64 |" in page and "JAX jit takes" not in page
    assert "<svg" in (tmp_path / "step.svg").read_text()


def test_sweep_and_growth(tmp_path: Path) -> None:
    results = measured(tmp_path, "sweep", "growth")
    assert "peer stack" in results["sweep"]["missing"]
    assert results["sweep"]["float32"].keys() == {"2 workers", "1 worker"}
    parts = results["sweep"]["parts"]
    for part in ("start", "composition", "data", "training", "probes", "evaluation", "tracking", "report and figures"):
        assert parts[part] > 0
    assert results["growth"]["runs"]["seconds"][0] > 0.5
    less, more = results["growth"]["model.depth"]["megabytes"]
    assert less < more
    assert "peer stack: No module named 'torch'" in (tmp_path / "README.md").read_text()


def test_what_measures_less_than_the_committed_page_is_written_elsewhere() -> None:
    command = [sys.executable, "-c", WITHOUT_PEERS, "step", "--quick", "--case", "10×16"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    page = Path(done.stdout.splitlines()[-1].removeprefix("written: "))
    assert page.is_file() and page.parent != ROOT / "experiments" / "benchmarks", done.stderr
    shutil.rmtree(page.parent)
