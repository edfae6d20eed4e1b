"""`make sync`: sends the runs that a store could not take when they ended, and says what remains."""

import argparse
import sys
from collections.abc import Sequence

from backscope.commands import command
from backscope.tracking import spool, store


def run(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser("python -m backscope.commands.sync", description=__doc__)
    parser.add_argument("--uri", help="the store that they are for; mlflow.db at the top of the project unless given")
    uri = store.locate(parser.parse_args(arguments).uri)
    if not spool.waiting(uri):
        print("nothing waits for this store")
        return 0
    sent, left = spool.deliver(uri)
    print(f"{sent} sent, {len(left)} left")
    for name, reason in left.items():
        print(f"  {spool.folder(uri) / name}: {reason}")
    return 1 if left else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status, 1 if something remains."""
    return command(run, arguments)


if __name__ == "__main__":
    sys.exit(main())
