"""The command `backscope`: composes a configuration with Hydra and runs it, or a sweep of them.

A bad configuration ends with one line on stderr and exit status 2; a sweep of which runs failed ends with 1.
"""

import os
import sys
from collections.abc import Sequence

from backscope.process import importing, use_one_thread


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    use_one_thread()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises, and `explain` says it in one line
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    if arguments is not None:
        sys.argv = ["backscope", *arguments]
    with importing():
        from backscope.app import hydra_main
        from backscope.config import CONF, quiet
        from backscope.config.errors import check_arguments, explain
        from backscope.study import Study
        from backscope.tracking.store import StoreError

    try:
        if not CONF.is_dir():
            raise StoreError(f"{CONF} is missing: install backscope from its repository, with `pip install -e .`")
        check_arguments(sys.argv[1:])
        with quiet():
            Study.failed = False
            hydra_main()
    except Exception as error:
        line = str(error) if isinstance(error, StoreError) else explain(error, sys.argv[1:])
        if line is None:
            raise
        print(f"backscope: {line}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    return int(Study.failed)


if __name__ == "__main__":
    sys.exit(main())
