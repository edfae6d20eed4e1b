"""A real browser for what people look at: Chromium without a window, and pages on which nothing may go wrong.

What a page tells its console as an error, raises, or asks of another machine fails the test that opened it.
"""

import shutil

import pytest

LOCAL = ("file:", "data:", "blob:", "about:")
NAMES = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")  # a session's would leave an event loop running under the tests of other modules
def browser():
    """Chromium as the system has it; the test is skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    with playwright.sync_playwright() as running:
        browser = running.chromium.launch(executable_path=path, args=["--no-sandbox"])  # root has no other
        yield browser
        browser.close()


@pytest.fixture
def visit(browser):
    """visit(path, width=390, scheme="dark"): the page of a file, or of an address on this machine, in the browser.

    Requests beyond files and that address fail the test at its end, as errors do.
    """
    contexts, wrong = [], []

    def visit(place, width=1280, height=900, scheme="light", **options):
        url = str(place) if str(place).startswith("http://127.0.0.1:") else place.resolve().as_uri()
        allowed = (*LOCAL, url) if url.startswith("file:") else (*LOCAL, "/".join(url.split("/")[:3]))

        def asked(request):
            if not request.url.startswith(allowed):
                wrong.append(f"request: {request.url[:200]}")

        context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme, **options)
        context.set_default_timeout(20_000)
        contexts.append(context)
        context.on("request", asked)
        page = context.new_page()
        page.on("websocket", lambda socket: wrong.append(f"socket: {socket.url}"))
        page.on("console", lambda said: wrong.append(f"console: {said.text}") if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
        page.goto(url)
        return page

    visit.wrong = wrong
    yield visit
    for context in contexts:
        context.close()
    assert not wrong, wrong
