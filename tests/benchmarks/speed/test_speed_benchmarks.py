"""Each benchmark of speed on little: that both sides do the same work, not how fast they are."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.pictures import NARROW
from helpers.training import RECIPE
from safetensors.torch import save_file

from vggfeat import vgg
from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.speed import (
    extraction,
    feeding,
    jobs,
    light,
    limits,
    loading,
    planning,
    preparation,
    probes,
    startup,
    store,
    training,
    usual,
    usual_job,
)
from vggfeat.benchmarks.speed.gil import seconds_with_gil
from vggfeat.benchmarks.speed.measuring import Contender, Setup, Timings
from vggfeat.costs import calibration, flops, forward_calibration
from vggfeat.costs.photographs import SIZES, photograph, varied_sizes, write_photographs
from vggfeat.features import store as features_store
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction
from vggfeat.images import decode, rescale


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    monkeypatch.setattr(limits, "SIDE", {"cpu": 16, "cuda": 16})
    monkeypatch.setattr(limits, "COPY_BYTES", 1024)


@pytest.fixture
def setup(tmp_path) -> Setup:
    return Setup(tmp_path, repeats=2)


def narrow_net() -> torch.nn.Module:
    return vgg.build("vgg11", width=0.0625, input_size=32)


def row_of(result, contender: str, quantity: str):
    (row,) = (r for r in result.rows if (r.contender, r.quantity) == (contender, quantity))
    return row


def test_photographs_are_the_same_each_time_and_as_large_as_photographs(tmp_path):
    pictures = write_photographs(tmp_path, len(SIZES))
    assert {decode(path).size for path in pictures.values()} == set(SIZES)
    assert all(50_000 < path.stat().st_size < 130_000 for path in pictures.values())
    first, again, other = (np.asarray(photograph((60, 40), seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all() and (first != other).any()


def test_operations_are_those_that_the_layers_shapes_give():
    """Two for each weight and position: net D at 224 takes 15.47e9 multiplications."""
    with torch.device("meta"):
        net = vgg.build("vgg16")
    assert flops.count_forward(net, (2, 3, 224, 224)) == pytest.approx(4 * 15.47e9, rel=1e-3)
    first = 2 * 64 * 27 * 224**2  # of the first layer no gradient of pictures is computed
    forward, step = (f(net, (1, 3, 224, 224)) for f in (flops.count_forward, flops.count_step))
    assert step == 3 * forward - first
    sizes = [(500, 375), (375, 500)]
    dense = net.dense()
    (alone,) = {flops.count_descriptors(dense, [one], [256], mirror=False) for one in sizes}
    assert flops.count_descriptors(dense, sizes, [256], mirror=True) == 4 * alone


def test_the_usual_way_prepares_the_same_pixels(tmp_path):
    (path,) = write_photographs(tmp_path, 1).values()
    pixels = np.asarray(rescale(decode(path), 256))
    assert np.allclose(usual.prepared(path, 256).permute(1, 2, 0) * 255, pixels, atol=1e-3)


@pytest.fixture
def extracted(setup, monkeypatch):
    monkeypatch.setattr(extraction, "_peak_bytes", None)
    monkeypatch.setattr(extraction, "ProcessPoolExecutor", FakePool)
    return extraction.measure(setup, net=NARROW, peer=narrow_net, scales=(32, 48), num_pictures=3)


class FakePool:
    """A process pool without processes, whose result is always 1000 bytes."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, *_):
        return self

    def result(self):
        return 1000


def test_extraction_gives_the_descriptors_of_the_usual_way(extracted):
    away = f"1 - cosine to {usual.NAME}, largest"
    assert row_of(extracted, "vggfeat, fp32", away).value.median < 1e-6
    assert row_of(extracted, "vggfeat, bf16", away).value.median < 1e-2
    for name in ("vggfeat, fp32", "vggfeat, bf16"):
        assert row_of(extracted, name, "pictures/s").peer == usual.NAME
    goals = [row.goal for row in extracted.rows if row.goal]
    assert {extraction.FASTER, extraction.NEAR, extraction.GPU_SHARE, extraction.BOUNDED} == {
        *goals
    }
    assert [row.reached for row in extracted.rows if row.device == "cuda"] == ["not measured"]
    assert any("thingsvision" in note for note in extracted.notes)
    assert len(extracted.limits) == 3


@pytest.mark.slow
def test_memory_is_measured_in_new_processes(setup):
    pictures = write_photographs(setup.folder / "pictures", 2)
    row = extraction._memory_row(NARROW, (32,), pictures, 2, setup)
    assert row.value.median > 0.5 and row.quantity == "peak memory of 8 pictures over that of 2"


def test_preparation_beside_the_usual_way_and_decoding_alone(setup):
    result = preparation.measure(setup, scales=(32, 48), num_pictures=2)
    assert row_of(result, "vggfeat", "pictures/s").ratio.repeats == 2
    assert row_of(result, "vggfeat", "share of JPEG decoding").value.repeats == 2
    assert [row.quantity for row in result.limits] == ["pictures/s", "megapixels/s"]
    all_cores = row_of(result, preparation.LOADER, "pictures/s")
    assert all_cores.peer == preparation.LOADER_ALONE and all_cores.ratio.repeats == 2
    held = row_of(result, "loader", "ms a picture with Python's lock held")
    most = row_of(result, "loader", f"pictures/s of {preparation.MANY_CORES} cores at most")
    assert (held.value is None) == (most.value is None) == bool(held.note)


def test_the_lock_is_held_by_python_and_not_by_waiting():
    def compute() -> None:
        deadline = time.thread_time() + 0.03
        while time.thread_time() < deadline:
            pass

    computing = seconds_with_gil(compute)
    if computing is None:
        pytest.skip("needs two cores")
    assert computing > 2 * seconds_with_gil(lambda: time.sleep(0.03))


def test_many_cores_load_no_more_than_the_lock_lets_through():
    """64 pictures in a second of one core: 16 give 1,024 at most, with 2 ms of the lock 500."""
    one = Timings(Contender("loader", lambda: None, 64, "pictures/s"), np.array([1.0, 1.0]))
    held, bound = preparation._lock_rows([64 * 0.002, 64 * 0.0005], one)
    assert (held.value.min, held.value.max) == pytest.approx((0.5, 2))
    assert (bound.value.min, bound.value.max) == pytest.approx((500, 1024))
    held, bound = preparation._lock_rows([None, None], one)
    assert held.value is None is bound.value and "two cores" in held.note


def test_what_is_stored_is_read_again(setup):
    result = store.measure(setup, num_rows=70, dim=8)  # which itself compares
    for verb in ("writing", "reading"):
        assert row_of(result, f"vggfeat, {verb}", "MB/s").peer == f"h5py, {verb}"
        assert row_of(result, f"numpy, {verb}", "MB/s").ratio is None


def test_training_beside_the_plain_loop(setup):
    case = training.Case(RECIPE, narrow_net, cuda_batch=8, cuda_goal=training.GPU_SHARE)
    result = training.measure(setup, cases=(case,))
    peer, ours, share, cuda_only = result.rows
    assert ours.peer == peer.contender and ours.contender.startswith("vggfeat, ")
    assert share.value and share.goal is None
    assert cuda_only.reached == "not measured" and cuda_only.goal == training.GPU_SHARE


def test_training_from_files_beside_the_step_and_the_loader_alone(setup):
    case = training.Case(RECIPE, narrow_net, cuda_batch=8)
    result = loading.measure(setup, case=case, num_files=3, num_batches=2)
    ours, of_step, of_loader, step, loader = result.rows
    assert ours.contender == "vggfeat, from JPEGs" and loader.contender == "the loader alone"
    assert of_step.value.median == pytest.approx(ours.value.median / step.value.median, rel=0.5)
    assert of_loader.quantity == "share of the loader alone"
    assert result.settings["pictures"] == 2 * RECIPE.batch_size


def test_a_stand_in_is_busy_for_the_time_that_it_states():
    device = feeding.StandIn(seconds_per_pixel=1e-5)
    pictures = device.staged(np.zeros((2, 30, 40, 3), np.uint8))
    before = device.timer()
    assert device.upload(pictures).shape == (2, 1, 1, 3)
    device.upload(pictures)  # is queued behind it
    after = device.timer()
    assert after.seconds_since(before) == pytest.approx(0.048, abs=1e-3)
    assert device.busy_s == pytest.approx(0.048)
    began = time.monotonic()
    after.wait()
    assert time.monotonic() >= after.at and after.at - began < 0.048


def test_feeding_stores_every_picture_and_states_how_busy_the_stand_in_was(setup):
    result = feeding.measure(
        replace(setup, repeats=1), scales=(32, 48), num_pictures=6, num_files=2
    )
    shares = [row for row in result.rows if row.quantity == "share of time it is busy"]
    assert len(shares) >= 2 and all(0 < row.value.median <= 1 for row in shares)
    assert result.settings["rates"] and not list(setup.folder.glob("*.h5"))
    assert result.limits[0].contender == "storing"


def test_pictures_in_bf16_may_be_more_than_the_files(setup):
    result = extraction.measure(
        setup, net=NARROW, peer=narrow_net, scales=(32,), num_pictures=2, num_bf16=5,
        memory_pictures=None,
    )  # fmt: skip
    assert (result.settings["pictures"], result.settings["pictures_bf16"]) == (2, 5)
    assert not any("memory" in row.quantity for row in result.rows)


@pytest.mark.parametrize("case", [training.SMALL, training.FULL], ids=lambda case: case.name)
def test_the_peer_of_training_has_the_same_layers(case):
    recipe = case.recipe
    with torch.device("meta"):
        ours = vgg.build(recipe.net, width=recipe.width, input_size=recipe.input_size)
        theirs = case.peer()
    shapes = [
        {name: value.shape for name, value in net.state_dict().items()} for net in (ours, theirs)
    ]
    assert shapes[0] == shapes[1]


def test_the_usual_script_has_the_features_of_our_centre_crop(setup, tmp_path, monkeypatch):
    weights = tmp_path / "net.safetensors"
    save_file(load_network("resnet18@random:3").net().state_dict(), weights)
    network = load_network(f"resnet18:view=centre@{weights}")
    pictures = write_photographs(tmp_path / "pictures", 4)
    options = Extraction(scales=(256,), mirror=False, precision="fp32", device="cpu")
    extracted = extract("photographs", pictures, network, options, folder=tmp_path / "features")
    ours = features_store.read(extracted.path, list(pictures), (256,))[:, 0]
    monkeypatch.setattr(usual_job, "WORKERS", 0)
    job = {"net": "resnet18", "weights": str(weights), **vars(network.statistics)}
    theirs = usual_job.features_of(job, [str(path) for path in pictures.values()])
    cosines = (ours * theirs).sum(axis=1) / np.linalg.norm(ours, axis=1)
    np.testing.assert_allclose(cosines, 1, atol=1e-4)


def test_predictions_stand_beside_measurements(setup, monkeypatch):
    monkeypatch.setattr(calibration, "LOADING_S", 0.0)
    monkeypatch.setattr(calibration, "DISK_S", 0.0)
    monkeypatch.setattr(forward_calibration, "FORWARD_S", 0.0)
    case = planning.Case(NARROW, (32,), 2)
    result = planning.measure(replace(setup, repeats=1), cases=(case,))
    predicted, measured, ratio, sizes = result.rows
    assert case.name == "vgg11, 32, 2" and predicted.quantity == "s of one core, predicted"
    assert ratio.value.median == predicted.value.median / measured.value.median
    assert sizes.value.median == pytest.approx(1, abs=0.9)  # of two rows, a file's head is much


@pytest.mark.slow
def test_whole_jobs_come_to_a_number_from_pictures_and_from_stored_features(setup):
    result = jobs.measure(replace(setup, repeats=1), per_class=10)
    assert result.settings["net"] == jobs.NET and result.settings["pictures"] == "generated"
    for contender in (jobs.OURS, jobs.CROPPED, "the usual script"):
        assert 0 <= row_of(result, contender, "mean class recall, %").value.median <= 100
    for start in ("pictures", "stored features"):
        row = row_of(result, jobs.OURS, f"from {start} to number, s")
        assert row.peer == "the usual script" and row.goal == jobs.FASTER


@pytest.mark.slow
def test_startup_has_its_goals(setup):
    result = startup.measure(replace(setup, repeats=1), num_splits=1, scales="32")
    assert row_of(result, "vggfeat --help", "CPU s").goal == startup.HELP
    assert row_of(result, "vggfeat bench, all made", "s").goal == startup.BENCH


def test_probes_decide_as_scikit_learns_do(setup):
    single, several = (
        replace(case, name=f"few, {n}", num_pictures=n, dim=24, num_classes=4)
        for n, case in ((260, probes.CASES[0]), (280, probes.CASES[-1]))
    )
    result = probes.measure(replace(setup, repeats=1), cases=(single, several))
    for name in probes.PEERS:
        for case in (single, several):
            row = row_of(result, f"vggfeat {name}, {case.name}", probes.EQUAL)
            assert row.value.median >= 0.95
            assert row_of(result, f"vggfeat {name}, {case.name}", "runs/s").ratio is not None
    excess = row_of(result, f"scikit-learn logistic, {single.name}",
                    "objective over vggfeat's, relative")  # fmt: skip
    assert excess.value.median > -1e-6


def test_light_nets_with_fused_layers_and_without(setup):
    net = "squeezenet1_1@random:0"
    result = light.measure(setup, nets=[net], scales=(32, 48), num_pictures=2)
    ours = [row for row in result.rows if row.contender == f"squeezenet1_1, {light.OURS}"]
    assert [row.peer for row in ours] == [
        f"squeezenet1_1, {usual.NAME}", f"squeezenet1_1, {light.PLAIN}", ""
    ]  # fmt: skip
    assert ours[-1].value.median < 1e-3
    assert len(set(varied_sizes(8, seed=0))) > 6
