"""The page of backpropagation in a browser: by slider, key and click it shows the trace's numbers, and it plays."""

import re
from types import SimpleNamespace

import pytest

from backscope import app
from backscope.analysis.backprop.page import render
from backscope.analysis.backprop.passes import passes
from backscope.config import compose
from backscope.tracking import reader

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
playwright.expect.set_options(timeout=20_000)
CALM = {"reduced_motion": "reduce"}
RUNS = {
    "residual": ("init=he", "activation=relu", "model.depth=3", "model.residual=plain", "normalization=layer_norm"),
    "vanishing": ("init=normal", "init.std=0.01", "activation=tanh", "model.depth=8", "replicas=3", "probes=full"),
    "zeros": ("init=zeros", "activation=tanh", "model.depth=4"),
    "deep": ("init=xavier", "activation=sigmoid", "model.depth=100", "probes=economy", "training.steps=0"),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Pages of single runs and of a pair by name, and the traces."""
    folder = tmp_path_factory.mktemp("pages")
    uri, traces, known = f"sqlite:///{folder}/mlflow.db", {}, {}
    for name, overrides in RUNS.items():
        steps = () if "training.steps=0" in overrides else ("training.steps=20",)
        run_id = app.run(compose(*overrides, *steps, "model.width=16", f"tracking.uri={uri}"))[2]
        traces[name] = reader.trace(run_id, uri)
        known[name] = passes(reader.run(run_id, uri).iloc[0].to_dict() | {"n_in": 64, "n_out": 10}, traces[name])
        (folder / f"{name}.html").write_bytes(render([known[name]]))
    (folder / "pair.html").write_bytes(render([known["zeros"], known["vanishing"]]))
    return SimpleNamespace(folder=folder, traces=traces)


def measured(made, name, quantity, step, layer):
    """The median over replicas in the trace."""
    trace = made.traces[name]
    found = trace[(trace["quantity"] == quantity) & (trace["step"] == step) & (trace["layer"] == layer)]
    return found["value"].median()


def bar(page, quantity, layer, run=0):
    found = page.locator(f'[data-run="{run}"] [data-quantity="{quantity}"][data-layer="{layer}"]')
    return float(found.get_attribute("data-value"))


def step_of(page):
    return int(page.inner_text("#step-said").split(" of ")[0])


def test_the_picture_has_every_number_of_the_trace(made, visit):
    page = visit(made.folder / "vanishing.html", **CALM)
    assert "vanish" in page.inner_text("h2 >> nth=0") and "1 part in" in page.inner_text(".left")
    seen = set()
    for _ in range(3):
        for quantity in ("delta_rms", "grad_norm"):
            for layer in range(1, 10):
                assert bar(page, quantity, layer) == measured(made, "vanishing", quantity, step_of(page), layer)
        seen.add(bar(page, "delta_rms", 8))
        page.keyboard.press("ArrowUp")
    assert len(seen) == 3


def test_arrows_move_layer_and_step_and_the_equations_follow(made, visit):
    page = visit(made.folder / "vanishing.html", **CALM)
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowUp")
    assert page.inner_text("#equations-title") == "Layer 5 of 9" and step_of(page) == 1
    shown = [
        float(value) for value in page.locator(".card.active data").evaluate_all("all => all.map(each => each.value)")
    ]
    above, here = (measured(made, "vanishing", "delta_rms", 1, layer) for layer in (6, 5))
    between = measured(made, "vanishing", "input_grad_rms", 1, 6)
    assert shown == [above, between / above, here / between, here, here / above]
    assert "16 × 16" in page.inner_text(".card.active")
    assert page.locator(".card math").count() == 6
    playwright.expect(page.locator("#said")).to_contain_text(re.compile("step 1, training loss .*, layer 5 of 9"))
    for _ in range(9):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#equations-title") == "The output, layer 9"
    assert "softmax" in page.inner_text(".card.active")


def test_the_sliders_and_a_click_on_a_layer_do_the_same(made, visit):
    page = visit(made.folder / "vanishing.html", **CALM)
    page.focus("#step")
    page.keyboard.press("End")
    assert step_of(page) == 20 and bar(page, "grad_norm", 8) == measured(made, "vanishing", "grad_norm", 20, 8)
    page.focus("#layer")
    page.keyboard.press("ArrowRight")
    assert page.inner_text("#equations-title") == "Layer 2 of 9"
    page.locator(".hit").nth(6).click()
    assert page.inner_text("#equations-title") == "Layer 7 of 9"


def test_space_plays_and_pauses(made, visit):
    page = visit(made.folder / "vanishing.html", **CALM)
    page.locator("[value=linear]").check()
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("End")
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-pressed") == "true" and page.inner_text("#play") == "Pause"
    playwright.expect(page.locator("#equations-title")).to_have_text("Layer 8 of 9")
    page.keyboard.press(" ")
    assert page.get_attribute("#play", "aria-pressed") == "false"
    stopped = page.inner_text("#equations-title")
    page.wait_for_timeout(700)
    assert page.inner_text("#equations-title") == stopped
    assert page.locator(".pulse circle").count() == 0


def test_unless_motion_is_unwanted_delta_flows_once_from_the_loss_to_layer_1(made, visit):
    page = visit(made.folder / "vanishing.html")
    page.wait_for_selector(".pulse circle", state="attached")
    assert page.locator(".bar.ahead").count() > 0
    playwright.expect(page.locator("#play")).to_have_attribute("aria-pressed", "false")
    assert page.inner_text("#equations-title") == "Layer 1 of 9" and step_of(page) == 0
    assert page.locator(".ahead").count() == page.locator(".pulse circle").count() == 0


def test_a_zero_is_drawn_as_zero_and_a_layer_without_broken_symmetry_as_one_neuron(made, visit):
    page = visit(made.folder / "zeros.html", **CALM)
    assert page.locator(".nought").count() == 4 + 5  # δ of the hidden layers; ∂L/∂W of the head, too, is 0 at first
    assert [page.locator(f".neuron[data-layer='{layer}']").count() for layer in (1, 4)] == [1, 1]
    said = page.inner_text(".left")
    assert said.startswith("0") and "one neuron, 16 times: init=zeros fails to break their symmetry" in said


def test_two_runs_share_their_scales_and_their_sliders(made, visit):
    page = visit(made.folder / "pair.html", **CALM)
    ticks = [page.locator(f'[data-run="{run}"] svg text.tick', has_text="10").all_inner_texts() for run in (0, 1)]
    assert ticks[0] and set(ticks[0]) - {"10"} == set(ticks[1]) - {"10"}
    for _ in range(6):
        page.keyboard.press("ArrowRight")
    assert page.inner_text("#equations-title") == "Layer 7 of 9"
    assert bar(page, "delta_rms", 7, run=1) == measured(made, "vanishing", "delta_rms", 0, 7)
    assert page.inner_text(".card.active tbody tr:last-child td >> nth=0") == "–"  # there is no layer 7 on the left


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light")])
@pytest.mark.parametrize("name", ["deep", "pair"])
def test_a_page_fits_the_screen(made, visit, name, width, scheme):
    page = visit(made.folder / f"{name}.html", width=width, scheme=scheme, **CALM)
    page.wait_for_selector(".strip svg")
    assert page.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    page.locator("#numbers summary").click()
    playwright.expect(page.locator("#numbers tbody tr")).to_have_count(101 if name == "deep" else 5 + 9)


def test_what_the_equations_leave_out_is_said(made, visit):
    page = visit(made.folder / "residual.html", **CALM)
    assert "also has layer normalization and residual connections" in page.inner_text(".beyond")
    assert visit(made.folder / "zeros.html", **CALM).locator(".beyond").count() == 0


def test_a_linear_scale_and_a_print_show_the_same_run(made, visit):
    page = visit(made.folder / "vanishing.html", **CALM)
    height = "document.querySelector('.bar[data-quantity=delta_rms][data-layer=\"4\"]').getBoundingClientRect().height"
    before = page.evaluate(height)
    page.locator("[value=linear]").check()
    assert page.evaluate(height) < before / 20
    page.emulate_media(media="print")
    assert not page.locator("#controls").is_visible() and page.locator(".card").count() == 4
