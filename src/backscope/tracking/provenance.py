"""Which code, libraries and machine made the numbers: the tags that a reproduction is compared with."""

import hashlib
import platform
import subprocess
from functools import cache
from importlib.metadata import version
from pathlib import Path

SOURCES = (":/src", ":/conf")  # what makes numbers; an ablation rewrites its own page while others still run
LIBRARIES = ("numpy", "scipy", "scikit-learn", "mlflow", "backscope")


@cache
def provenance() -> dict[str, str]:
    """Git commit and whether the sources differ from it, versions, BLAS, CPU and threads, as tags; once a process."""
    tags = {f"version.{name}": version(name) for name in LIBRARIES}
    return tags | {"version.python": platform.python_version(), "cpu": _cpu(), "code": code()} | _git() | _blas()


@cache
def code() -> str:
    """Twelve hex digits of the package's source: what git's commit does not say of a tree with changes."""
    package, digest = Path(__file__).parents[1], hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:12]


def _git() -> dict[str, str]:
    """Empty where the package is installed outside of a repository."""
    command = ("git", "-C", str(Path(__file__).parent))
    try:
        commit = subprocess.run((*command, "rev-parse", "HEAD"), capture_output=True, text=True, timeout=10)
        status = (*command, "status", "--porcelain", "--", *SOURCES)
        changes = subprocess.run(status, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return {}
    if commit.returncode or changes.returncode:
        return {}
    return {"git.commit": commit.stdout.strip(), "git.dirty": str(bool(changes.stdout.strip())).lower()}


def _blas() -> dict[str, str]:
    """The BLAS that NumPy loaded, with its kernel and its number of threads."""
    import numpy  # noqa: F401  (threadpoolctl sees only what is loaded)
    from threadpoolctl import threadpool_info

    pools = [pool for pool in threadpool_info() if pool["user_api"] == "blas"]
    pools.sort(key=lambda pool: "numpy" not in "/".join(Path(pool["filepath"]).parts[-3:-1]))  # SciPy brings its own
    if not pools:
        return {}
    name = " ".join(str(pools[0].get(key) or "") for key in ("internal_api", "version", "architecture"))
    return {"blas": name.strip(), "threads": str(pools[0]["num_threads"])}


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
