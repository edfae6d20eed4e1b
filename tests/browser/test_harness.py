"""The harness: a page that errs or asks another machine for something does not go unnoticed."""

import pytest

PAGE = "<!doctype html><title>t</title><link rel=icon href='data:,'><p id=p>unset</p><script>{}</script>"
SCHEME = "document.all.p.textContent = matchMedia('(prefers-color-scheme: dark)').matches + ' ' + innerWidth"


def test_a_page_is_opened_as_wide_and_dark_as_asked(visit, tmp_path):
    (tmp_path / "page.html").write_text(PAGE.format(SCHEME))
    assert visit(tmp_path / "page.html").inner_text("#p") == "false 1280"
    assert visit(tmp_path / "page.html", width=390, scheme="dark").inner_text("#p") == "true 390"


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        ("console.error('badly')", "console: badly"),
        ("undefined.x", "error: Cannot read properties"),
        ("fetch('http://127.0.0.1:9/secret').catch(() => 0)", "request: http://127.0.0.1:9/secret"),
        ("new Image().src = 'https://127.0.0.2/x'", "request: https://127.0.0.2/x"),
        ("new WebSocket('ws://127.0.0.1:9/')", "socket: ws://127.0.0.1:9/"),
    ],
)
def test_what_goes_wrong_does_not_go_unnoticed(visit, tmp_path, script, wrong):
    (tmp_path / "page.html").write_text(PAGE.format(script))
    visit(tmp_path / "page.html").wait_for_timeout(300)
    assert any(each.startswith(wrong) for each in visit.wrong), visit.wrong
    visit.wrong.clear()
