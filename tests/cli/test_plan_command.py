"""`vggfeat plan`, with rates from a file: what it prints, as a table and as JSON."""

import json
import tarfile

import pytest
from click.testing import CliRunner
from helpers.pictures import NARROW, write_classes, write_picture

from vggfeat.cli import main
from vggfeat.costs import rates
from vggfeat.costs.rates import DiskRate, ForwardRate, LoadingRate, Rates

NET = NARROW.partition("@")[0]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "rates.json"
    forward = {32: ForwardRate(10.0), 48: ForwardRate(10.0)}
    found = Rates(
        machine="a CPU, 4 cores", cores=4, device="cpu", precision="fp32", net=NET, mirror=True,
        forward=forward, start_s=0.0, loading=LoadingRate(0.1, 0.0), pictures="photographs",
        disk=DiskRate(1e9, 1e9, 1e-6, 4096), time="2026-11-29T20:00:00+00:00",
    )  # fmt: skip
    rates.save(found, path)
    return path


@pytest.fixture
def run(file):
    def plan(*arguments, code=0):
        fixed = ("plan", "--net", NARROW, "--scales", "32,48", "--rates", str(file))
        result = CliRunner().invoke(main, [*fixed, *map(str, arguments)])
        assert result.exit_code == code, result.stderr
        return result

    return plan


def test_whose_rates_they_are_is_said_first_and_no_line_is_too_long(run):
    told = run("--pictures", "100M", "--gpus", 32).stdout
    assert told.startswith("The forward rate is a CPU's (a CPU, 4 cores), and each of")
    assert "forward takes 868.1 h / R" in told.replace("\n  ", " ")  # 1e8 / 32 / 3600
    assert "bottleneck: forward, 95% of the cores" in told and "rates.json of 2026-11-29" in told
    assert max(map(len, told.splitlines())) <= 80
    assert "energy" not in told and "cost" not in told


def test_a_given_speed_is_a_gpus(run):
    """A million pictures at 100 a second on two GPUs: 5,000 s."""
    told = run(
        "--pictures", "1M", "--gpus", 2, "--images-per-second", 100, "--watts", 700,
        "--price", 2.5, "--disk-price", 20, "--cores", 64,
    ).stdout  # fmt: skip
    assert "this CPU" not in told and "a CPU's" not in told
    assert "time:       83.3 min (2.78 device hours)" in told
    assert "energy:     1.94 kWh" in told and "cost:       6.94 (" in told
    assert "bottleneck: forward, 34.1 times as long as decode" in told  # 128 cores at 53.3 a second


def test_json_is_one_object(run):
    values = json.loads(run("--pictures", "1M", "--tflops", 10, "--format", "json").stdout)
    speed = 10e12 * 0.4 / values["flops_per_picture"]
    assert values["stage_seconds"]["forward"] == pytest.approx(1e6 / speed)
    assert values["sources"]["forward"] == "40% (assumed) of 10 TFLOP/s"
    assert values["sources"]["decode"] == "rates.json" and values["cost"] is None
    assert values["disk_bytes"]["descriptors"] == 1_000_000 * 2 * 256 * 4


def test_pictures_at_hand_say_how_many_and_how_large(run, tmp_path):
    write_classes(tmp_path / "pictures", {"ant": 3, "bee": 2})
    values = json.loads(run("--images", tmp_path / "pictures", "--format", "json").stdout)
    assert values["pictures"] == 5
    assert not any("--picture-size" in told for told in values["assumptions"])
    many = run("--images", tmp_path / "pictures", "--pictures", "1e6", "--format", "json")
    assert json.loads(many.stdout)["pictures"] == 1_000_000


def test_a_given_disk_is_another_machines(run):
    """A picture has 2 scales x 256 numbers x 4 bytes, and some more: 10^6 at 1 MB/s."""
    disk = ("--write-rate", 1, "--read-rate", 2, "--picture-bytes", "1k")
    values = json.loads(run("--pictures", "1M", *disk, "--format", "json").stdout)
    assert values["stage_seconds"]["read"] == pytest.approx(500)
    assert values["stage_seconds"]["write"] == pytest.approx(values["disk_bytes"]["files"] / 1e6)
    assert values["sources"]["write"] == values["sources"]["read"] == "given"


def test_of_tars_the_first_and_the_last_are_looked_into(run, tmp_path):
    """3 pictures in each of the first three, 1 in the fourth."""
    for number in range(4):
        with tarfile.open(tmp_path / f"{number}.tar", "w") as tar:
            for picture in range(3 if number < 3 else 1):
                name = f"{number}{picture}.png"
                tar.add(write_picture(tmp_path / name, (40 + picture, 40)), name)
    result = run("--images", tmp_path / "{0..3}.tar", "--format", "json")
    assert json.loads(result.stdout)["pictures"] == 10
    assert "about 10 pictures, as the first of its 4 tars has 3" in result.stderr
    given = run("--images", tmp_path / "*.tar", "--pictures", "100M", "--format", "json")
    assert json.loads(given.stdout)["pictures"] == 10**8 and "about" not in given.stderr
    picture = json.loads(given.stdout)["picture"]
    assert picture["source_mp"] == pytest.approx(41 * 40 / 1e6)  # on average


def test_processes_of_one_machine_share_its_cores(run):
    values = json.loads(run("--gpus", 2, "--device", "cpu", "--format", "json").stdout)
    assert values["cores"] == 4 and not values["headline"]
    assert "2 processes share the 4 cores of one machine" in values["assumptions"]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--pictures", "0"), "pictures must be from 1"),
        (("--pictures", "lots"), "write it as 100M"),
        (("--price", "-1"), "price must be from 0 to 1e+12; got -1"),
        (("--price", "nan"), "price must be from 0 to 1e+12; got nan"),
        (("--watts", "1e308"), "watts must be from 0 to 1e+12; got 1e+308"),
        (("--images-per-second", "1e-320"), "must be from 1e-06 to 1e+12"),
        (("--read-rate", "inf"), "read rate must be from 1e-06 to 1e+12; got inf"),
        (("--cores", "9" * 400), "cores must be from 1 to 1e+06; got 999"),
        (("--picture-size", "1x999999"), "at scale 32 have more than 8,388,608 pixels"),
        (("--net", "vgg17"), "Did you mean"),
        (("--net", f"{NARROW}+{NARROW}"), "a plan is of one net"),
        (("--scales", "16"), "scale 16 is too small"),
        (("--scales", "64"), "no rate at scale 64"),
        (("--gpus", "0"), "gpus must be from 1 to 1e+06; got 0"),
        (("--utilisation", "0.5"), "give that, too"),
        (("--tflops", "1", "--images-per-second", "1"), "give one"),
        (("--images", "/nowhere"), "no such folder"),
        (("--images", "/nowhere/{0..3}.tar"), "no such file"),
        (("--images", "s3://bucket/{0..3}.tar"), "a plan fetches nothing"),
    ],
)
def test_mistakes_are_told_in_one_line(run, arguments, message):
    result = run(*arguments, code=1)
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ") and message in line
