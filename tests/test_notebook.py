"""The teaching notebook: its outputs are those of a sound run, and a new run says the same."""

import json
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "docs" / "notebooks"
NOTEBOOK = json.loads((FOLDER / "frozen_features.ipynb").read_text())
CODE = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
OUTPUTS = [output for cell in CODE for output in cell["outputs"]]
TEXTS = [
    "".join(output["data"].get(kind, ""))
    for output in OUTPUTS
    if "data" in output
    for kind in ("text/plain", "text/html", "text/markdown")
]
LACKING = [name for name in ("nbclient", "ipykernel", "matplotlib") if not find_spec(name)]


def test_it_was_run_from_top_to_bottom_without_warnings_or_errors():
    assert [cell["execution_count"] for cell in CODE] == list(range(1, len(CODE) + 1))
    assert {output["output_type"] for output in OUTPUTS} <= {"display_data", "execute_result"}


def test_nothing_in_it_is_of_the_machine_that_ran_it():
    assert set(NOTEBOOK["metadata"]) == {"kernelspec", "language_info"}
    assert all(cell["metadata"] == {} for cell in NOTEBOOK["cells"])
    assert not any(str(place) in text for text in TEXTS for place in ("/home", "/tmp", "/root"))
    assert (FOLDER / "frozen_features.ipynb").stat().st_size < 700_000


def test_no_measured_number_is_typed_into_its_text():
    """Percentages come from cells; the paper's own are quoted."""
    prose = [cell["source"] for cell in NOTEBOOK["cells"] if cell["cell_type"] == "markdown"]
    percentages = re.findall(r"([\d.]+) %", "".join(line for lines in prose for line in lines))
    assert percentages == ["29.6"]


@pytest.mark.slow
@pytest.mark.skipif(bool(LACKING), reason=f"{', '.join(LACKING)} not here")
def test_it_runs_and_what_it_says_holds(tmp_path):
    """In some two minutes on two cores that have nothing else to do."""
    command = [sys.executable, FOLDER / "run.py", "--out", tmp_path / "new.ipynb"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    new = json.loads((tmp_path / "new.ipynb").read_text())
    assert [cell["source"] for cell in new["cells"]] == [c["source"] for c in NOTEBOOK["cells"]]
    for headline in (headline_of(new), headline_of(NOTEBOOK)):
        new_signs = (headline[f"new signs: 11 layers, {w}"] for w in ("random", "trained"))
        random, trained = new_signs
        assert 5 < random < trained  # 5 % by chance
        best_scale = headline["signs of any size: best single scale"]
        assert headline["signs of any size: all scales"] >= best_scale - 1
        assert headline["own pictures: frozen features"] > headline["own pictures: pixels"]


def headline_of(notebook) -> dict[str, float]:
    """The numbers of the table in the last cell, in %."""
    (output,) = notebook["cells"][-1]["outputs"]
    lines = "".join(output["data"]["text/plain"]).splitlines()[1:]
    return {
        name.strip(): float(value) for name, value in (line.rsplit(maxsplit=1) for line in lines)
    }
