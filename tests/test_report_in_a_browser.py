"""The report in Chromium: quiet, alone, whole, readable by everybody, at every width."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from helpers.pictures import write_classes
from helpers.records import classified
from helpers.scored import of_classes, write_scored

from vggfeat.benchmarks.report.read import results_in
from vggfeat.benchmarks.report.report import report
from vggfeat.records import record as records
from vggfeat.report.page.html import page_html

RUN = Path(__file__).resolve().parents[1] / "results/pretraining/runs/vgg16-256-normal-0.01.json"
WIDTHS = {390: 844, 1280: 900}


@pytest.fixture(scope="module")
def page_file(tmp_path_factory):
    """A report with everything in it: two nets on own pictures, ILSVRC, training, odd names."""
    folder = tmp_path_factory.mktemp("report")
    own = write_classes(folder / "pets", {"ant": 4, "bee": 4, "cat": 4})
    ids = [f"{name}/image_{n:04d}.jpg" for name in ("ant", "bee", "cat") for n in (1, 2, 3, 4)]
    truth = np.repeat(np.arange(3), 4)
    labels = of_classes(truth)
    for net, wrong in (("vgg16", 1), ("timm/a_net_with_a_very_long_name_" * 4, 6), ("<b>", 9)):
        scores = np.where(labels > 0, 1.0, 0.0)
        scores[:wrong] = np.roll(scores[:wrong], 1, axis=1)
        write_scored(
            folder / "results", labels, scores, ids=ids, net=net, benchmark="pets", title="pets",
            protocol={"version": 1, "own": True, "classes": 3, "images": 12},
            seconds={"forward": 3.0, "fit": 1.0}, notes=["a note"],
        )  # fmt: skip
        write_scored(folder / "results", labels, scores, net=net)
    write_scored(
        folder / "results", labels, scores, net="vgg16", benchmark="long", title="t" * 60,
        classes=("c" * 400, "", "\u202e"),
    )  # fmt: skip
    records.write(classified(), folder / "results")
    (folder / "runs").mkdir()
    shutil.copy(RUN, folder / "runs")
    results = results_in([folder / "results"], [folder / "runs"])
    path = folder / "report.html"
    path.write_text(page_html(report(results, own_pictures=[own])), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def opened(browser, page_file):
    """A function: the page at a width and in a scheme, and what it said and asked for."""

    def opened(width, scheme="light"):
        page = browser.new_page(
            viewport={"width": width, "height": WIDTHS[width]}, color_scheme=scheme
        )
        page.said, page.asked = [], []
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        page.on("request", lambda request: page.asked.append(request.url))
        page.goto(page_file.as_uri())
        return page

    return opened


def unfold(page):
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")


# Widths change the layout and schemes the colours: each once is enough.
@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_axe_finds_nothing_serious(opened, width, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = opened(width, scheme)
    unfold(page)
    options = {"resultTypes": ["violations"], "elementRef": False}
    found = axe.Axe().run(page, options=options).response["violations"]
    bad = [
        (violation["id"], [node["html"][:200] for node in violation["nodes"][:3]])
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
    assert bad == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_is_quiet_asks_for_nothing_and_never_scrolls_sideways(opened, page_file, width):
    page = opened(width)
    unfold(page)
    assert page.said == []
    asked = [url for url in page.asked if not url.startswith("data:")]
    assert asked == [page_file.as_uri()]
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    broken = "[...document.images].filter(i => !i.complete || !i.naturalWidth).length"
    assert page.evaluate(broken) == 0 and page.evaluate("document.images.length") > 0


def test_every_link_leads_to_something_that_then_can_be_seen(opened):
    page = opened(1280)
    targets = page.evaluate(
        "[...new Set([...document.querySelectorAll('a[href]')].map(a => a.getAttribute('href')))]"
    )
    assert len(targets) > 20
    hidden = page.evaluate(
        """async targets => {
            const hidden = [];
            for (const target of targets) {
                document.querySelectorAll('details').forEach(d => d.open = false);
                location.hash = target;
                await new Promise(requestAnimationFrame);
                const place = document.getElementById(target.slice(1));
                if (!place || !place.checkVisibility()) hidden.push(target);
            }
            return hidden;
        }""",
        targets,
    )
    assert hidden == []


def test_the_keyboard_reaches_the_content_first(opened):
    page = opened(1280)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "content"


def test_the_answer_stands_on_the_first_screen(opened):
    for width, height in WIDTHS.items():
        page = opened(width)
        answer = page.locator(".answer").first.bounding_box()
        assert answer["y"] + answer["height"] < height


def test_on_paper_reasons_are_unfolded_and_protocols_are_not(opened):
    page = opened(1280)
    page.emulate_media(media="print")
    seen = "(d, inner) => inner.checkVisibility({contentVisibilityAuto: true})"
    assert page.locator(".cards details p").first.evaluate("p => p.checkVisibility()")
    assert not page.locator("details.screen dl").first.evaluate("p => p.checkVisibility()")
    assert seen
