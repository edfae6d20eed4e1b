"""Files that are dear to make and the same for every run, in the user's cache."""

import os
import tempfile
from contextlib import suppress
from pathlib import Path


def in_cache(name: str) -> Path:
    """Where such a file is, or would be."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backscope" / name


def keep(path: Path, content: bytes) -> None:
    """Keep a file there. Where that cannot be written the next process makes it again: slow, not wrong."""
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        part, name = tempfile.mkstemp(dir=path.parent)
        try:
            with open(part, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            os.replace(name, path)  # atomic: another process sees the whole file or none
        except OSError:
            os.unlink(name)
            raise
