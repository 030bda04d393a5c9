"""The tutorial, followed word for word in an empty folder."""

from pathlib import Path

from helpers.walkthrough import follow, shape_of

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial.md"


def test_the_tutorial_prints_what_it_says(tmp_path, home, monkeypatch):
    """But for digits, which differ from machine to machine; "..." stands for lines left out."""
    monkeypatch.chdir(tmp_path)
    num_outputs = 0
    for block, printed in follow(TUTORIAL):
        said = [shape_of(part) for part in block.text.split("\n...\n")]
        shown = shape_of(printed)
        for part in said:
            assert part in shown, f"{block}: {printed}"
        assert len(said) > 1 or said[0] == shown, f"{block}: {printed}"
        num_outputs += 1
    assert num_outputs >= 8
