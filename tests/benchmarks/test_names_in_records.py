"""A name that the user gives a net is in its record, and changes nothing else."""

import json
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from helpers.pictures import write_classes
from helpers.records import make_record

from vggfeat.cli import main
from vggfeat.report.transfer import compare, table

PROMISES = Path(__file__).resolve().parents[1] / "data" / "promises"
NET = "vgg11:width=0.015625,input_size=32"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs commands where `pictures` has two classes of four."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VGGFEAT_HOME", str(tmp_path / "home"))
    write_classes(Path("pictures"), {"cat": 6, "dog": 6})

    def run(line: str) -> Result:
        return CliRunner().invoke(main, shlex.split(line))

    return run


@pytest.fixture
def kept_runs(run) -> None:
    """The weights and pictures of the promises lie in the current folder."""
    for name in ("runs", "data"):
        Path(name).symlink_to(PROMISES / name)


def bench(run, *nets: str) -> Result:
    named = " ".join(f"--net '{net}'" for net in nets)
    return run(f"bench pictures {named} --scales 32 --splits 1 --device cpu --precision fp32")


def test_tables_comparisons_and_choices_know_the_name_later(run):
    result = bench(run, f"small one={NET}@random:1", f"{NET}@random:2")
    assert result.exit_code == 0, result.stderr
    assert "\nsmall one " in result.stdout
    assert "\nsmall one " in run("table").stdout
    assert "A is small one, B is" in run(f"compare 'small one' {NET}@random:2").stdout
    chosen = run("table --net 'small one' --format json").stdout
    assert [record["name"] for record in json.loads(chosen)] == ["small one"]


def test_records_and_features_are_found_by_any_name_and_the_last_one_stays(run):
    bench(run, f"{NET}@random:1")
    (path,) = Path("results/pictures").glob("*.json")
    unnamed, features = path.read_text(), sorted(Path("home").rglob("*.h5"))
    assert '"name": "other"' not in unnamed
    again = bench(run, f"other={NET}@random:1")
    assert f"measured already: {path}" in again.stderr
    assert f"named 'other': {path}" in again.stderr and "\nother " in again.stdout
    assert sorted(Path("home").rglob("*.h5")) == features
    before, now = json.loads(unnamed), json.loads(path.read_text())
    assert now.pop("name") == "other" and now.pop("sha256") != before.pop("sha256")
    assert now == before
    assert "\nother " in bench(run, f"{NET}@random:1").stdout  # without a name it keeps it
    assert run(f"verify {path}").exit_code == 0


def test_a_name_that_another_net_has_in_the_folder_is_refused(run):
    bench(run, f"a={NET}@random:1")
    result = bench(run, f"a={NET}@random:2")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1] == (
        f"Error: 'a': the name of {NET}@random:1 in results. Choose another name or another --out."
    )


def test_nets_used_together_have_one_name(run):
    both = f"both={NET}@random:1+{NET}@random:2"
    assert "\nboth " in bench(run, both).stdout
    (path,) = Path("results/pictures").glob("*.json")
    assert [net["name"] for net in json.loads(path.read_text())["nets"]] == [NET, NET]


def test_a_named_net_is_compared_with_the_published_one_of_its_net():
    rows = table(compare([make_record(name="ours")])).rows
    assert [str(cell) for cell in rows[-1]] == ["ours", "91.8 ± 1.1 (+0.0) = [2]"]


def test_evaluate_and_localise_show_the_name_too(kept_runs, run):
    """With the nets that an earlier version trained, see tests/data/promises."""
    common = "--data data/signs --device cpu --precision fp32"
    result = run(f"evaluate --net 'ours=runs/vgg11-256.safetensors' {common}")
    assert "\nours " in result.stdout
    result = run(f"localise evaluate --net 'boxes=runs/vgg11-256-pcr.safetensors' {common}")
    assert "\nboxes " in result.stdout
    assert "\nours " in run("table --ilsvrc --sweep").stdout
