"""The commands beside `backscope` itself: `python -m backscope.commands.NAME`, each a target of the Makefile."""

import os
import sys
from collections.abc import Callable, Sequence

from backscope.config.checks import ConfigError
from backscope.process import use_one_thread
from backscope.tracking.store import StoreError


def command(run: Callable[[Sequence[str] | None], int], arguments: Sequence[str] | None = None) -> int:
    """Run a command as every command runs: one BLAS thread, and one line with exit status 2 for what is not allowed."""
    use_one_thread()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    try:
        return run(arguments)
    except (ConfigError, StoreError) as error:
        print(f"backscope: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
