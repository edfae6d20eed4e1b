"""The page: a template, the data of one or two runs, and scripts that need no network."""

import base64
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from backscope.analysis.look import style, template

HERE = Path(__file__).parent
SCRIPTS = ("words.js", "strip.js", "equations.js", "page.js")


def render(runs: Sequence[dict[str, Any]]) -> bytes:
    """The HTML of one or two runs (`passes`); a script runs only if its digest is the one that the page allows."""
    script = "\n" + "".join((HERE / name).read_text() for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return template(HERE).render(runs=runs, style=style(HERE), script=Markup(script), digest=digest).encode()
