"""The report of a sweep in a browser, from disk: what a click, a key, the dark and a narrow screen do to it."""

import json
import sys
from itertools import pairwise

import pytest

from backscope.__main__ import main

AXES = ("init=zeros,xavier", "activation=tanh,sigmoid", "model.depth=2,8", "replicas=3")


@pytest.fixture(scope="module")
def report(browser, tmp_path_factory):  # skipped with the browser
    """The report that a small sweep leaves in its parent run."""
    folder, arguments = tmp_path_factory.mktemp("sweep"), sys.argv
    small = ("model.width=16", "training.steps=5", "hydra.launcher.n_jobs=2")
    assert main(["-m", *small, *AXES, f"tracking.uri=sqlite:///{folder}/mlflow.db"]) == 0
    sys.argv = arguments
    return next(folder.glob("mlartifacts/*/*/artifacts/report.html"))


@pytest.fixture
def drawn(visit, report):
    """drawn(width=390): the page, once all of its charts are drawn."""

    def drawn(**options):
        page = visit(report, **options)
        page.wait_for_selector("body[data-drawn]")
        return page

    return drawn


def rows(page):
    """The cells of the rows of the table of runs that are seen."""
    seen = page.locator(".runs tbody tr:visible").all()
    return [row.locator("th, td").all_inner_texts() for row in seen]


def test_a_filter_narrows_everything(drawn):
    page = drawn()
    assert page.inner_text("#count") == "8 of 8 runs"
    assert page.locator("#profiles .panel:visible").count() == 4 == page.locator("#losses .panel:visible").count()
    lines = page.locator("#profiles [data-panel='2'] path[stroke-dasharray]").count()
    page.get_by_role("button", name="symmetric").first.click()
    assert page.inner_text("#count") == "4 of 8 runs"
    assert len(rows(page)) == 4 and all("symmetric" in " ".join(row) for row in rows(page))
    assert page.locator("#profiles .panel:visible figcaption").all_inner_texts() == ["zeros · tanh", "zeros · sigmoid"]
    assert page.locator(".matrix .off").count() == 4
    assert page.locator("[data-map=test_accuracy] .mark-rect.role-mark path[opacity='0.12']").count() == 4
    page.get_by_role("button", name="Show all").click()
    page.get_by_role("combobox", name="depth").select_option("8")
    assert page.inner_text("#count") == "4 of 8 runs" and {row[3] for row in rows(page)} == {"8"}
    page.wait_for_function(
        f"document.querySelectorAll(\"#profiles [data-panel='2'] path[stroke-dasharray]\").length < {lines}"
    )
    page.get_by_role("searchbox", name="words").fill("xavier layer")
    assert page.inner_text("#count") == "2 of 8 runs"


def test_a_configuration_can_be_chosen_in_the_table_of_verdicts_and_in_a_heat_map(drawn):
    page = drawn()
    page.locator(".matrix button").nth(1).press("Enter")
    ((_, init, activation, depth, *_),) = rows(page)
    assert (init, activation, depth) == ("zeros", "tanh", "8")
    page.locator(".matrix button").nth(1).press("Enter")
    assert page.inner_text("#count") == "8 of 8 runs"
    page.locator("[data-map=test_accuracy] .mark-rect.role-mark path").last.click()
    ((_, *point),) = rows(page)
    assert point[:3] == ["xavier", "sigmoid", "8"]


def test_the_table_sorts_by_the_keyboard_and_says_so(drawn):
    page = drawn()
    header = page.locator(".runs thead th", has_text="accuracy")
    header.get_by_role("button").focus()
    column = page.locator(".runs thead th").all_inner_texts().index(header.inner_text())
    for key, state, sign in (("Enter", "ascending", 1), (" ", "descending", -1)):
        page.keyboard.press(key)
        assert header.get_attribute("aria-sort") == state
        values = [float(row[column].split()[0]) for row in rows(page)]
        assert values == sorted(values, key=lambda value: sign * value) and len(set(values)) > 1
    page.locator(".runs thead th", has_text="ratio").get_by_role("button").press("Enter")
    assert page.locator(".runs [aria-sort=ascending]").count() == 1 == page.locator(".runs [aria-sort]").count()
    assert "[" in rows(page)[0][column], "replicas have an interval"


def test_the_first_tab_leads_to_the_results(drawn):
    page = drawn()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_it_is_read_in_the_dark_and_on_a_telephone(drawn, width, scheme):
    page = drawn(width=width, scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    ink, paper = (
        page.evaluate(f"getComputedStyle(document.body).{name}.match(/\\d+/g).slice(0, 3).map(Number)")
        for name in ("color", "backgroundColor")
    )
    assert (sum(ink) > sum(paper)) == (scheme == "dark") and abs(sum(ink) - sum(paper)) > 450
    label = page.locator("#profiles svg text").first
    assert label.evaluate("node => getComputedStyle(node).fill") == page.evaluate(
        "getComputedStyle(document.body).color"
    )
    box = page.locator("#profiles .panel svg").first.bounding_box()
    assert box["width"] <= width and box["height"] > 100


def test_a_print_has_every_chart_however_early_it_is_made_and_heads_apart(visit, report):
    page = visit(report)
    page.add_init_script("window.setTimeout = () => 0")  # nothing is drawn later
    page.reload()
    assert page.locator("#losses svg.marks").count() == 0
    page.pdf()
    assert page.locator("[data-map] svg.marks, .panel svg.marks").count() == 3 + 4 + 4
    page.emulate_media(media="print")
    words = """nodes => nodes.map(node => {
      const range = document.createRange();
      range.selectNodeContents(node);
      return [range.getBoundingClientRect().left, range.getBoundingClientRect().right];
    })"""
    heads = page.locator(".runs thead button").evaluate_all(words)
    assert all(after - before > 5 for (_, before), (after, _) in pairwise(heads))


def test_every_chart_has_words_for_those_who_do_not_see_it(drawn):
    page = drawn()
    named = page.locator("[role=img], [role=region]").evaluate_all("nodes => nodes.map(node => node.ariaLabel)")
    assert len(named) == 13 and all(named)
    assert any("xavier · tanh: depth 2 at initialization" in name for name in named)
    assert page.locator("main h2").count() == 6 and page.locator("h1").count() == 1
    assert page.locator("input, select").evaluate_all("nodes => nodes.every(node => node.labels.length === 1)")
    headers = page.locator("th:not([scope])").count()
    assert headers == 0


def test_in_a_sandbox_as_mlflows_viewer_links_lead_within_the_page(visit, report, tmp_path):
    frame = "<!doctype html><link rel=icon href='data:,'><iframe sandbox=allow-scripts width=900 height=600></iframe>"
    blob = f"new Blob([{json.dumps(report.read_text())}], {{type: 'text/html'}})"
    (tmp_path / "blob.js").write_text(f"document.querySelector('iframe').src = URL.createObjectURL({blob})")
    (tmp_path / "viewer.html").write_text(f"{frame}<script src=blob.js></script>")
    page = visit(tmp_path / "viewer.html").frames[-1]
    page.wait_for_selector("body[data-drawn]")
    assert page.locator(".sandboxed").is_visible()
    page.locator("nav a", has_text="All runs").click()
    page.wait_for_function("document.querySelector('#runs').getBoundingClientRect().top < 300")
