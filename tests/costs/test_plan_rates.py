"""Rates: measured against a clock that goes as a machine of known speed would, saved, loaded."""

import json
from pathlib import Path

import pytest
import torch
from helpers.pictures import NARROW

from vggfeat.backbones.load import load_network
from vggfeat.costs import calibration, forward_calibration, rates
from vggfeat.costs.rates import DiskRate, ForwardRate, LoadingRate, Rates
from vggfeat.costs.work import PictureWork, ScaleWork
from vggfeat.errors import OptionError
from vggfeat.features.options import Extraction

RATES = Rates(
    machine="a CPU, 4 cores", cores=4, device="cpu", precision="fp32", net="vgg16", mirror=True,
    forward={256: ForwardRate(2.0, 0.1, 0.5), 384: ForwardRate(3.0)}, start_s=1.0,
    loading=LoadingRate(0.01, 0.02), pictures="some", time="2026-11-29T20:00:00+00:00",
    disk=DiskRate(1e8, 5e7, 1e-4, 4096),
)  # fmt: skip


class Machine:
    """A clock that a pass moves on: 2 s a megapixel, 0.1 s a pass, 0.5 s the first of a shape."""

    def __init__(self):
        self.now, self.seen = 0.0, set()

    def __call__(self):
        return self.now

    def describe(self, head, module, pixels, *, mirror, **_):
        self.now += 0.1 + 2.0 * pixels[..., 0].size * (2 if mirror else 1) / 1e6
        self.now += 0 if pixels.shape in self.seen else 0.5
        self.seen.add(pixels.shape)
        return torch.zeros(1)


def test_the_parts_of_a_pass_are_told_apart(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(forward_calibration, "describe", machine.describe)
    found, start_s = forward_calibration.forward_rates(
        load_network(NARROW), Extraction(scales=(32, 48)), [(64, 48)], clock=machine, seconds=100.0
    )
    assert start_s == pytest.approx(0.6, abs=0.01)
    for rate in found.values():
        assert rate.megapixel_s == pytest.approx(2.0) and rate.pass_s == pytest.approx(0.1)
        assert rate.new_shape_s == pytest.approx(0.5, abs=0.01)  # its pictures are a little wider


def test_a_net_that_takes_longer_than_there_is_time_is_timed_on_single_pictures(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(forward_calibration, "describe", machine.describe)
    found, _ = forward_calibration.forward_rates(
        load_network(NARROW), Extraction(scales=(48,)), [(64, 48)], clock=machine, seconds=0.2
    )
    mp = 2 * 64 * 48 / 1e6
    assert found[48].megapixel_s == pytest.approx((2.0 * mp + 0.1) / mp) and not found[48].pass_s


def test_pictures_of_many_sizes_are_timed_as_their_own_batches(monkeypatch):
    """Two batches, of three pictures and of one: each is new, and has a pass of its own."""
    machine = Machine()
    monkeypatch.setattr(forward_calibration, "describe", machine.describe)
    sizes = [(64, 48), (48, 64), (64, 48), (64, 48)]
    found, _ = forward_calibration.forward_rates(
        load_network(NARROW), Extraction(scales=(48,)), sizes, clock=machine, seconds=100.0
    )
    mp = 4 * 2 * 64 * 48 / 1e6
    assert found[48].megapixel_s == pytest.approx((2.0 * mp + 2 * (0.1 + 0.5)) / mp)
    assert not found[48].pass_s and not found[48].new_shape_s


def test_huge_photographs_are_generated_smaller():
    assert calibration._drawn((640, 480)) == (640, 480)
    width, height = calibration._drawn((40_000, 10_000))
    assert width * height == pytest.approx(2**22, rel=0.01) and width == pytest.approx(4 * height)
    assert calibration._drawn((999_999, 1))[1] == 1


def test_a_picture_takes_what_its_passes_take():
    scales = (ScaleWork(256, 0.1, 0.2, 0.5, 0.25), ScaleWork(384, 0.2, 0.4, 0.5, 0.25))
    work = PictureWork(source_mp=1.0, source_bytes=1.0, scales=scales, vector_bytes=1)
    assert RATES.forward_s(work) == pytest.approx(0.2 * 2 + 0.5 * 0.1 + 0.25 * 0.5 + 0.4 * 3)
    assert RATES.loading.core_s(work) == pytest.approx(0.01 + 0.3 * 0.02)


def test_rates_of_this_machine_are_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(forward_calibration, "FORWARD_S", 0.0)
    for name in ("LOADING_S", "DISK_S"):
        monkeypatch.setattr(calibration, name, 0.0)
    monkeypatch.setattr(calibration, "CHUNK", 1000)
    monkeypatch.setattr(calibration, "NUM_PICTURES", 4)
    options = Extraction(scales=(32,), device="cpu")
    found = calibration.calibrate(
        load_network(NARROW), options, [(64, 48)], folder=tmp_path / "not there yet"
    )
    assert found.forward[32].megapixel_s > 0 and found.loading.decode_mp_s > 0
    assert found.disk.row_s > 0 and found.disk.read_bytes_s > 0
    assert not list(tmp_path.iterdir())  # nothing is left behind
    rates.save(found, tmp_path / "rates.json")
    assert rates.load(tmp_path / "rates.json", found.net, (32,)).forward == found.forward


def test_rates_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "rates.json"
    rates.save(RATES, path)
    read = rates.load(path, "vgg16", (256,))
    assert read.forward == RATES.forward and read.disk == RATES.disk
    assert read.source == "rates.json of 2026-11-29"


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda v: v.update(net="vgg19"), "has rates of vgg19; asked is vgg16"),
        (lambda v: v["forward"].pop("256"), "no rate at scale 256, only at 384"),
        (lambda v: v.update(vggfeat_rates=2), "no file of rates, version 1"),
        (lambda v: v.pop("disk"), "no sound file of rates"),
        (lambda v: v["loading"].update(decode_mp_s=-1), "decode_mp_s is -1"),
        (lambda v: v["forward"]["256"].update(pass_s="x"), "pass_s is 'x'"),
        (lambda v: v["forward"].update({"256": 3}), "no sound file of rates"),
        (lambda v: v.update(cores=0), "cores is 0"),
        (lambda v: v.update(cores=10**400), "cores is 1000"),
        (lambda v: v["disk"].update(read_bytes_s=0), "read_bytes_s is 0"),
        (lambda v: v["disk"].update(row_bytes=0), "row_bytes is 0"),
        (lambda v: v["loading"].update(decode_mp_s=10**400), "decode_mp_s is 1000"),
        (lambda v: v.update(start_s="soon"), "start_s is 'soon'"),
        (lambda v: v.update(machine=["a"]), "machine is "),
    ],
)
def test_unfit_rates_are_refused_in_one_line(tmp_path, change, message):
    path = tmp_path / "rates.json"
    rates.save(RATES, path)
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    with pytest.raises(OptionError, match=message):
        rates.load(path, "vgg16", (256,))


@pytest.mark.parametrize("content", [b"", b"[1]", b"{", b"\xff\xfe", b"[" * 5000])
def test_what_is_no_file_of_rates_is_refused(tmp_path, content):
    path = Path(tmp_path / "rates.json")
    path.write_bytes(content)
    with pytest.raises(OptionError, match="--save-rates"):
        rates.load(path, "vgg16", (256,))
    with pytest.raises(OptionError, match="cannot be read"):
        rates.load(tmp_path, "vgg16", (256,))
