"""The site: built without a warning, asking nobody for anything, found by its search."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
WIDTHS = (390, 1280)
pytestmark = pytest.mark.slow  # `make docs` builds the site, too


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    pytest.importorskip("material", reason="the extra docs is not installed: no site")
    pytest.importorskip("mkdocstrings", reason="the extra docs is not installed: no site")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr + built.stdout
    return folder


def test_pages_say_what_they_are_made_of(site):
    commands = (site / "commands.html").read_text()
    assert "--save-probe" in commands and "<!-- options" not in commands
    python = (site / "python.html").read_text()
    assert 'id="vggfeat.probes.svm_estimator.OneVsRestSVM"' in python
    assert (site / "repository" / "results" / "speed" / "svm-plane" / "cpu.png").is_file()


def test_nothing_is_asked_of_others_and_nothing_sticks_out(site, browser):
    """At the width of a phone and of a desktop, in light and dark."""
    asked, said, wide = [], [], []
    for width, scheme in ((390, "light"), (1280, "dark")):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page = context.new_page()
        page.on("request", lambda r: asked.append(r.url) if r.url.startswith("http") else None)
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        for path in sorted(set(site.glob("*.html")) - {site / "404.html"}):  # for servers
            page.goto(path.as_uri())
            if page.evaluate("document.documentElement.scrollWidth") > width:
                wide.append((path.name, width))
        context.close()
    assert not asked and not said and not wide


def test_search_works_from_a_folder(site, browser):
    page = browser.new_page()
    page.goto((site / "index.html").as_uri())
    page.fill("input.md-search__input", "duality gap")
    page.wait_for_selector(".md-search-result__item", timeout=20_000)
    assert "protocols" in page.inner_html(".md-search-result__list")
    page.close()


def test_axe_finds_nothing_serious(site, browser):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    for name in ("index", "tutorial", "talk", "average-precision", "commands"):
        page.goto((site / f"{name}.html").as_uri())
        page.wait_for_timeout(200)  # the theme wraps tables when the page is there
        found = axe.Axe().run(page).response["violations"]
        serious = {f["id"]: [node["html"][:120] for node in f["nodes"][:3]] for f in found
                   if f["impact"] in ("serious", "critical")}  # fmt: skip
        assert not serious, f"{name}: {serious}"
    page.close()
