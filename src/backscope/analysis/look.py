"""What pages share: how a template becomes a file that needs nothing else, and their colours and letters, look.css."""

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template
from markupsafe import Markup


def template(folder: Path, **filters: Callable[..., str]) -> Template:
    """A folder's page.html, which escapes what it is given and knows nothing that it is not given."""
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(filters)
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "ensure_ascii": False, "separators": (",", ":")}
    return environment.get_template("page.html")


def style(folder: Path) -> Markup:
    """What all pages look like, and a folder's page.css."""
    return Markup(Path(__file__).with_name("look.css").read_text() + (folder / "page.css").read_text())
