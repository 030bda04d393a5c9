"""Loading, the device and storing overlap, and nothing is lost or mixed up.

The device is a slow one, whose work is done later; what is read of it too early is NaN.
"""

import errno
import threading
from contextlib import contextmanager
from itertools import count

import numpy as np
import pytest
from helpers.pictures import NARROW, write_picture
from helpers.slow_device import SlowDevice, Timer

from vggfeat import images
from vggfeat.backbones.load import load_network
from vggfeat.errors import NetworkError, PictureError
from vggfeat.features import store
from vggfeat.features.batches import plan_batches
from vggfeat.features.extract import extract
from vggfeat.features.heads.head import describe
from vggfeat.features.options import Extraction

OPTIONS = Extraction(scales=(32, 48), batch_size=1, precision="fp32", device="cpu")


@pytest.fixture
def pictures(tmp_path):
    """Ten pictures in two shapes, id -> path."""
    shapes = [(48, 36), (40, 60)]
    return {
        f"{i}": write_picture(tmp_path / "pictures" / f"{i}.png", shapes[i % 2], seed=i)
        for i in range(10)
    }


@pytest.fixture(autouse=True)
def layer_by_layer(monkeypatch):
    """A slow device knows no operators of a processor's own, and the CPU is to give the same."""
    monkeypatch.setattr(
        "vggfeat.features.pipeline.for_inference", lambda module, *_: module, raising=False
    )


@contextmanager
def computing_on(device):
    """A `with` block in which extractions compute on this device."""
    with pytest.MonkeyPatch.context() as patch, device:
        patch.setattr("vggfeat.features.pipeline.device_for", lambda name: device)
        yield device


def run(pictures, folder, **options):
    return extract("test", pictures, load_network(NARROW), OPTIONS, folder=folder, **options).path


def vectors(path, pictures):
    return store.read(path, list(pictures), OPTIONS.scales)


def in_order(pictures):
    """The ids as the batches have them."""
    sizes = {i: images.picture_size(path) for i, path in pictures.items()}
    return [i for ids in plan_batches(sizes, OPTIONS.scales, 1) for i in ids]


def num_done(folder):
    (path,) = folder.glob("*.h5")
    return store.inspect(path).num_done


@pytest.fixture
def expected(tmp_path, pictures):
    return vectors(run(pictures, tmp_path / "cpu"), pictures)


def test_a_slow_devices_vectors_are_those_of_the_cpu(tmp_path, pictures, expected):
    with computing_on(SlowDevice()):
        path = run(pictures, tmp_path)
    assert np.array_equal(vectors(path, pictures), expected)


def test_a_device_that_is_waited_for_has_the_next_batch_to_do(tmp_path, pictures):
    """But at the last one: there is none behind it."""
    with computing_on(SlowDevice()) as device:
        run(pictures, tmp_path)
    of_a_batch = len(OPTIONS.scales)
    assert device.queued_behind == [of_a_batch] * 9 + [0]


def test_pictures_come_from_few_buffers(tmp_path, pictures, monkeypatch):
    """As many as there are batches prefetched, in flight or on the way, whatever their number."""
    monkeypatch.setattr("vggfeat.features.picture_loader.NUM_PREFETCHED", 2)
    many = {f"{n}": pictures["0"] for n in range(20)}
    with computing_on(SlowDevice()) as device:
        run(many, tmp_path)
    num_batches = 2 + 1 + device.num_in_flight + 1
    assert device.num_buffers <= num_batches * len(OPTIONS.scales)


class NeverWaits(SlowDevice):
    """Its results are read before they are there: it begins when the run is over."""

    def __enter__(self):
        return self

    def __exit__(self, *error):
        super().__enter__()
        super().__exit__(*error)

    def timer(self):
        timer = super().timer()
        timer.wait, timer.seconds_since = lambda: None, lambda earlier: 0.0
        return timer


class ReusesAtOnce(SlowDevice):
    """Its buffers are written again before it has read them."""

    def upload(self, pictures):
        written = threading.Event()
        self.queue(written.wait)
        there = super().upload(pictures)
        pictures.fill_(255)
        written.set()
        return there


class NothingBehind(SlowDevice):
    """Each batch is collected before the next is queued."""

    num_in_flight = 0


def test_these_tests_notice_results_read_before_they_are_there(tmp_path, pictures):
    with computing_on(NeverWaits()), pytest.raises(NetworkError, match="not finite"):
        run(pictures, tmp_path)


def test_and_buffers_used_again_too_early(tmp_path, pictures, expected):
    with computing_on(ReusesAtOnce()):
        path = run(pictures, tmp_path)
    assert not np.array_equal(vectors(path, pictures), expected)


def test_and_a_device_that_has_nothing_to_do_meanwhile(tmp_path, pictures):
    with computing_on(NothingBehind()) as device:
        run(pictures, tmp_path)
    assert set(device.queued_behind) == {0}


def test_what_is_in_flight_before_an_unreadable_picture_is_stored(tmp_path, pictures):
    damaged = pictures[in_order(pictures)[4]]
    damaged.write_bytes(damaged.read_bytes()[:120])
    with computing_on(SlowDevice()):
        with pytest.raises(PictureError):
            run(pictures, tmp_path)
    assert num_done(tmp_path) == 4


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("during", ["queueing", "waiting"])
def test_what_is_in_flight_at_an_interrupt_is_stored(
    tmp_path, pictures, expected, monkeypatch, error, during
):
    """Seven batches are queued; the next is being queued, or the sixth is waited for."""
    calls = {"queueing": 0, "waiting": 0}

    def once(action, at):
        def counted(*args, **kwargs):
            calls[action] += 1
            if action == during and calls[action] == at:
                raise error("once")
            return getattr_of[action](*args, **kwargs)

        return counted

    getattr_of = {"queueing": describe, "waiting": Timer.wait}
    with monkeypatch.context() as patch, computing_on(SlowDevice()):
        patch.setattr("vggfeat.features.pipeline.describe", once("queueing", at=15))
        patch.setattr(Timer, "wait", once("waiting", at=6))
        with pytest.raises(error, match="once"):
            run(pictures, tmp_path)
    assert num_done(tmp_path) == 7
    assert np.array_equal(vectors(run(pictures, tmp_path), pictures), expected)


def test_a_full_disk_ends_the_run_with_its_error_and_keeps_what_was_stored(
    tmp_path, pictures, expected, monkeypatch
):
    write, number = store.FeatureWriter.write, count(1)

    def full(writer, *values):
        if next(number) > 3:
            raise OSError(errno.ENOSPC, "No space left on device", "features.h5")
        write(writer, *values)

    with monkeypatch.context() as patch, computing_on(SlowDevice()):
        patch.setattr(store.FeatureWriter, "write", full)
        with pytest.raises(OSError, match="No space left on device: 'features.h5'"):
            run(pictures, tmp_path)
    assert num_done(tmp_path) == 3
    assert np.array_equal(vectors(run(pictures, tmp_path), pictures), expected)


def test_progress_is_of_what_is_stored_and_by_the_callers_thread(tmp_path, pictures):
    reports = []

    def progress(label, done, total):
        assert threading.current_thread() is threading.main_thread()
        reports.append((done, total))

    with computing_on(SlowDevice()):
        run(pictures, tmp_path, progress=progress)
    assert reports == sorted(set(reports)) and reports[-1] == (10, 10)
