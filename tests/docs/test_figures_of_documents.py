"""The figures of the documents: what is drawn is what the text says, and each is used."""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from vggfeat.metrics import average_precisions
from vggfeat.report.render import render

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def script(name: str):
    spec = importlib.util.spec_from_file_location(name, DOCS / "figures" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def rules():
    return script("average_precision")


def test_the_ranking_stands_on_the_page(rules):
    page = (DOCS / "average-precision.md").read_text()
    assert render(rules.ranking(), "md") in page
    for rule, value in average_precisions(rules.SIGNS, rules.SCORES).items():
        assert f"{rule} {value:.4f}" in page


def test_the_areas_that_are_drawn_are_the_values_beside_them(rules):
    """By adding up rectangles on a fine grid of recalls."""
    recall, precision = rules.points()
    values = average_precisions(rules.SIGNS, rules.SCORES)
    fine = np.arange(0.5e-4, 1, 1e-4)
    highest = [precision[recall >= r].max() for r in fine]
    assert np.mean(highest) == pytest.approx(values["map_area"], abs=1e-4)
    behind_ties = np.append(np.diff(rules.SCORES) != 0, True)
    r, p = recall[behind_ties], precision[behind_ties]
    assert np.mean(p[np.searchsorted(r, fine)]) == pytest.approx(values["map_step"], abs=1e-4)
    levels = [precision[recall >= level - 1e-9].max() for level in np.linspace(0, 1, 11)]
    assert np.mean(levels) == pytest.approx(values["map_11pt"])


def test_every_picture_has_a_script_and_a_page(rules):
    drawn = {f"{figure.name}.svg" for figure in [*rules.figures(), rules.of_real_classes()]}
    chosen = script("from_records").CHOSEN
    drawn |= {f"{name}.{form}" for name, (_, _, form) in chosen.items()}
    drawn.add(script("first_screen").TARGET.name)
    there = {path.name for path in (DOCS / "images").iterdir()}
    assert there == drawn
    texts = "".join(p.read_text() for p in (ROOT / "README.md", *DOCS.glob("*.md")))
    assert there == set(re.findall(r"images/([\w-]+\.\w+)", texts))


def test_the_figures_of_records_can_be_drawn():
    names = [figure.name for figure, _ in script("from_records").chosen()]
    assert names == list(script("from_records").CHOSEN)


def test_the_published_rows_of_the_talk():
    from vggfeat.report.published import read_published

    lines = (DOCS / "talk.md").read_text().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("| | VOC 2007"))
    benchmarks = ("voc2007", "voc2012", "caltech101", "caltech256", "voc2012_actions",
                  "voc2012_actions_box")  # fmt: skip
    rows = {(row.method, row.benchmark): row for row in read_published()}
    for line in lines[start + 2 : start + 6]:
        method, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        for benchmark, cell in zip(benchmarks, cells, strict=True):
            row = rows.get((method, benchmark))
            spread = f" ± {row.spread}" if row and row.spread else ""
            assert cell == (f"{row.value:.1f}{spread}" if row else ""), (method, benchmark)
