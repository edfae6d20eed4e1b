"""The page: a template, the data of one or two runs, and scripts that need no network."""

import base64
import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup

HERE = Path(__file__).parent
SCRIPTS = ("words.js", "strip.js", "equations.js", "page.js")


def render(runs: Sequence[dict[str, Any]]) -> bytes:
    """The HTML of one or two runs (`passes`); a script runs only if its digest is the one that the page allows."""
    script = "\n" + "".join((HERE / name).read_text() for name in SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = Markup((HERE / "page.css").read_text())
    return _template().render(runs=runs, style=style, script=Markup(script), digest=digest).encode()


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    return environment.get_template("page.html")
