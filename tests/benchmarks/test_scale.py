"""What measures runs at scale: pictures that show their number, killed processes, verification."""

import re
import sys
import tarfile
from pathlib import Path
from statistics import median

import h5py
import numpy as np
import pytest
from PIL import Image

from vggfeat.backbones.factory import build
from vggfeat.benchmarks.scale import disturbed_run, growth, plots, record
from vggfeat.benchmarks.scale.disturbed_run import DisturbedRun, Kills
from vggfeat.benchmarks.scale.extraction import FACTORY, MEAN, STD, named
from vggfeat.benchmarks.scale.many_rows import by_tenth, thinned
from vggfeat.benchmarks.scale.numbered_pictures import key_of, pixels_of, write_tars
from vggfeat.benchmarks.scale.process_memory import memory_of
from vggfeat.benchmarks.scale.small_net import expected
from vggfeat.benchmarks.scale.verification import sample_error, verify
from vggfeat.errors import RecordError, VggfeatError

STATISTICS = np.array(MEAN), np.array(STD)
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def test_a_picture_shows_its_number_and_no_other(tmp_path):
    (path,) = write_tars(tmp_path, 3, num_processes=1)
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["000000000.png", "000000001.png", "000000002.png"]
        pixels = [np.asarray(Image.open(tar.extractfile(member))) for member in tar.getmembers()]
    np.testing.assert_array_equal(pixels, pixels_of(np.arange(3)))
    assert (pixels[0] != pixels[1]).mean() > 0.9


def test_tars_are_named_as_a_list_in_braces(tmp_path):
    assert named([tmp_path / "pictures-000000.tar", tmp_path / "pictures-000039.tar"]) == str(
        tmp_path / "pictures-{000000..000039}.tar"
    )


def test_the_net_gives_what_arithmetic_gives(tmp_path):
    tars = write_tars(tmp_path, 20, num_processes=1)
    assert sample_error(tars, build(FACTORY), *STATISTICS, a_tar=20) < 1e-5


@pytest.fixture
def shards(tmp_path):
    """Two shards of five rows each, as the net gives them."""
    for part in range(2):
        numbers = np.arange(5 * part, 5 * part + 5)
        vectors = expected(numbers, build(FACTORY), *STATISTICS)
        path = tmp_path / "000" / f"part-{part:06d}.h5"
        path.parent.mkdir(exist_ok=True)
        with h5py.File(path, "w") as file:
            file["ids"] = [key_of(number) for number in numbers]
            file["descriptors"] = vectors.astype(np.float32)[:, None]
            file["done"] = np.ones(5, bool)
    return tmp_path


def verified(folder, num_pictures=10):
    return verify(folder, num_pictures, build(FACTORY), *STATISTICS)


def test_shards_that_are_right_are_sound(shards):
    result = verified(shards)
    assert (result.shards, result.rows, result.missing, result.is_sound) == (2, 10, 0, True)
    (shards / "000" / ".part-000001.abc.h5").touch()
    assert verified(shards).leftovers == 1


@pytest.mark.parametrize(
    "array, change",
    [("descriptors", lambda rows: rows[::-1]),  # rows change places
     ("descriptors", lambda rows: rows + 1e-4),
     ("done", lambda rows: ~rows),
     ("ids", lambda rows: np.repeat(rows[:1], 5))],
)  # fmt: skip
def test_what_is_wrong_in_a_shard_is_noticed(shards, array, change):
    with h5py.File(shards / "000" / "part-000001.h5", "r+") as file:
        file[array][...] = change(file[array][()])
    assert not verified(shards).is_sound


def test_a_picture_without_a_row_is_noticed(shards):
    assert verified(shards, 11).missing == 1


# Two processes that make a row each, the first time too late for whoever kills one, and a parent
# that ends the other and fails when one of them does.
AGENT = """
import pathlib, subprocess, sys, time
started = pathlib.Path(sys.argv[1] + ".started")
seconds = 0.2 if started.exists() else 60
started.touch()
job = "import pathlib, time; time.sleep({!r}); pathlib.Path({!r}, {!r}).touch()"
jobs = [[sys.executable, "-S", "-c", job.format(seconds, sys.argv[1], name)] for name in "ab"]
processes = [subprocess.Popen(job) for job in jobs]
while any(p.poll() is None for p in processes) and not any(p.poll() for p in processes):
    time.sleep(0.01)
for process in processes:
    process.kill()
sys.exit(any([process.wait() for process in processes]))
"""


@linux
def test_a_killed_command_is_started_again_until_all_rows_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(disturbed_run, "SAMPLE_S", 0.02)
    rows = tmp_path / "rows"
    rows.mkdir()
    command = [sys.executable, "-S", "-c", AGENT, str(rows), "--nproc-per-node=2"]
    facts = DisturbedRun(
        [command],
        lambda: len(list(rows.iterdir())),
        2,
        Kills(during=1, mean_s=0.05),
        tmp_path / "log.txt",
    ).run()
    assert (facts.kills, facts.starts) == (1, 2)
    assert [event["kind"] for event in facts.events] == ["start", "kill", "end", "start", "end"]
    assert len(list(rows.iterdir())) == 2 and facts.samples and facts.peak_rss > 0
    assert memory_of(10**9) is None


@linux
def test_a_command_that_fails_by_itself_is_an_error(tmp_path):
    command = [sys.executable, "-S", "-c", "raise SystemExit(3)", "--nproc-per-node=1"]
    with pytest.raises(VggfeatError, match="ended with 3"):
        DisturbedRun([command], lambda: 0, 1, Kills(), tmp_path / "log.txt").run()


def test_memory_is_told_by_tenths_of_the_rows_and_its_samples_are_thinned():
    samples = [{"rows": row, "rss": [row], "pss": [row]} for row in range(1000)]
    assert by_tenth(samples, 999) == [99, 199, 299, 399, 499, 599, 699, 799, 899, 999]
    assert thinned(samples)[-1]["rows"] == 999 and len(thinned(samples)) == 334


def test_a_record_that_was_edited_is_refused(tmp_path):
    path = record.write("rows", tmp_path, command="python", kills=20)
    assert record.read("rows", tmp_path)["kills"] == 20
    assert record.read("growth", tmp_path) is None
    path.write_text(path.read_text().replace("20", "21", 1))
    with pytest.raises(RecordError, match="not as it was written"):
        record.read("rows", tmp_path)


def test_plots_are_drawn_of_the_records_that_are_there(tmp_path):
    run = {"seconds": 9, "extracted_s": 8, "peak_rss_mib": 500, "peak_pss_mib": 600}
    runs = [
        run | {"pictures": n, "processes": processes} for n in (10, 100) for processes in (1, 2)
    ]
    runs[-1]["index"] = {"index_built_s": 1, "one_id_s": 0.01}
    record.write("growth", tmp_path, command="python", runs=runs)
    curves, index = plots.write(tmp_path)
    assert "2 processes" in curves.read_text() and "milliseconds" in index.read_text()


RESULTS = Path(__file__).resolve().parents[2] / "results" / "scale"


def test_the_committed_table_is_what_the_records_give():
    """Seconds and MiB, medians over the rounds."""
    table = re.findall(r"^\| ([\d,]+) \| (.*) \|$", (RESULTS / "README.md").read_text(), re.M)
    runs = record.read("growth", RESULTS)["runs"]
    assert [int(number.replace(",", "")) for number, _ in table] == list(growth.ROUNDS)
    for number, cells in table:
        for processes, cell in zip(growth.PROCESSES, cells.split(" | "), strict=True):
            told = [float(value) for value in cell.replace(" s", "").split(", ")]
            here = [run for run in runs if run["processes"] == processes
                    and run["pictures"] == int(number.replace(",", ""))]  # fmt: skip
            assert len(here) == growth.ROUNDS[here[0]["pictures"]]
            for value, name in zip(told, ("seconds", "peak_rss_mib"), strict=True):
                assert value == pytest.approx(median(run[name] for run in here), rel=0.02)


def test_the_committed_record_is_of_a_million_rows_and_twenty_kills():
    rows = record.read("rows", RESULTS)
    assert rows["verified"]["is_sound"] and rows["verified"]["rows"] == 10**6
    assert rows["kills"] >= 20
    same = {run["sha256"] for run in record.read("growth", RESULTS)["runs"]
            if run["pictures"] == 10**6}  # fmt: skip
    assert same == {rows["verified"]["sha256"]}  # whoever worked on them, killed or not
