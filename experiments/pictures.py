"""The screens in the README, as PNG: what a browser shows of the pages that backscope makes.

make sweep && make pictures     # needs chromium, and playwright (a development dependency)
"""

import argparse
import io
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from backscope.analysis.report import page, study
from backscope.commands import show
from backscope.tracking import reader

HERE = Path(__file__).parent


def report(browser: Browser, uri: str | None) -> None:
    """The report of the newest default study: what was swept, and the verdicts."""
    made = page.render(study.read(study.find("default_study", uri), uri))
    shoot(browser, made, "body[data-drawn]", HERE / "default_study" / "report.png", 1280, 1270)


def backprop(browser: Browser, uri: str | None) -> None:
    """Two networks of the newest default study in which δ flows back: where it vanishes, and where it arrives."""
    runs = reader.runs("default_study", study.find("default_study", uri).data.tags["sweep_id"], uri)
    runs = runs.query("`init.name` == 'xavier' and `model.depth` == 32 and `optimizer.name` == 'sgd'")
    pair = runs.reset_index().set_index("activation.name").loc[["sigmoid", "tanh"], "run_id"]
    path = HERE / "default_study" / "backprop.png"
    shoot(browser, show.make(list(pair), uri)[1], ".strip svg", path, 1280, 815, ["ArrowRight"] * 12)


def shoot(
    browser: Browser, content: bytes, ready: str, path: Path, width: int, height: int, keys: Sequence[str] = ()
) -> None:
    """A page's first screen, once it is ready (a selector) and keys are pressed; 128 colours are enough for a page."""
    shown = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    shown.set_content(content.decode())
    shown.wait_for_selector(ready)
    for key in keys:
        shown.keyboard.press(key)
    image = Image.open(io.BytesIO(shown.screenshot())).convert("RGB").quantize(128, dither=Image.Dither.NONE)
    image.save(path, optimize=True)
    shown.close()
    print(f"{path}: {path.stat().st_size / 1e3:.0f} kB")


PICTURES: dict[str, Callable[[Browser, str | None], None]] = {"report": report, "backprop": backprop}


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the README's pictures of pages.")
    parser.add_argument("names", nargs="*", default=PICTURES, help=f"of {', '.join(PICTURES)}")
    parser.add_argument("--uri", help="the store (default: mlflow.db at the project's top)")
    options = parser.parse_args()
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])
        for name in options.names:
            PICTURES[name](browser, options.uri)
        browser.close()


if __name__ == "__main__":
    main()
