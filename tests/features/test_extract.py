"""Pictures to descriptors: against a slow computation, and what must never be lost."""

import subprocess
import sys

import numpy as np
import pytest
import torch
import torchvision
from helpers.interrupts import interrupted_at
from helpers.pictures import NARROW, write_picture
from PIL import Image
from safetensors.torch import save_file

from vggfeat import images
from vggfeat.backbones.load import load_network
from vggfeat.dataset_rows import DatasetRow, as_file
from vggfeat.errors import NetworkError, OptionError, PictureError, WeightsError
from vggfeat.features import store
from vggfeat.features.batches import plan_batches
from vggfeat.features.device import Cpu
from vggfeat.features.extract import extract
from vggfeat.features.heads.head import describe
from vggfeat.features.options import Extraction
from vggfeat.features.storing import StoringThread


@pytest.fixture
def pictures(tmp_path):
    """Seven pictures in two shapes, id -> path."""
    shapes = [(48, 36), (40, 60)]
    return {
        f"{i}": write_picture(tmp_path / "pictures" / f"{i}.png", shapes[i % 2], seed=i)
        for i in range(7)
    }


def run(pictures, folder, net=NARROW, **options):
    network = load_network(net)
    options = Extraction(**({"scales": (32, 48), "precision": "fp32"} | options))
    extracted = extract("test", pictures, network, options, folder=folder)
    return extracted, network


def stored(extracted, pictures, scales=(32, 48)):
    return store.read(extracted.path, list(pictures), scales)


def slow_descriptor(path, net, scale, *, mirror):
    """One picture in float64 by the definition, with torchvision's transforms."""
    transforms = torchvision.transforms
    picture = transforms.Resize(scale)(Image.open(path).convert("RGB"))
    image = transforms.PILToTensor()(picture).double()
    image -= torch.tensor([123.68, 116.779, 103.939]).double().view(3, 1, 1)
    descriptors = []
    for view in [image, transforms.functional.hflip(image)][: 2 if mirror else 1]:
        with torch.inference_mode():
            pooled = net.features(view[None])
            fc6, fc7 = net.classifier[0], net.classifier[3]
            side = 1  # of the fc6 window in feature positions: 32 pixels / 32
            positions = []
            for y in range(pooled.shape[2] - side + 1):
                for x in range(pooled.shape[3] - side + 1):
                    window = pooled[:, :, y : y + side, x : x + side].flatten(1)
                    positions.append(torch.relu(fc7(torch.relu(fc6(window)))))
        descriptors.append(torch.stack(positions).mean(dim=0)[0])
    return torch.stack(descriptors).mean(dim=0).numpy()


@pytest.mark.parametrize("mirror", [True, False])
def test_descriptors_are_the_mean_over_positions_and_mirror(tmp_path, pictures, mirror):
    extracted, network = run(pictures, tmp_path, scales=(32, 80), mirror=mirror)
    net = network.net().double()
    found = stored(extracted, pictures, (32, 80))
    for row, path in enumerate(pictures.values()):
        for column, scale in enumerate((32, 80)):
            expected = slow_descriptor(path, net, scale, mirror=mirror)
            np.testing.assert_allclose(found[row, column], expected, rtol=1e-4, atol=1e-4)


def test_squeezenet_descriptor_is_torchvisions_feature_map_averaged(tmp_path, pictures):
    extracted, network = run(
        pictures, tmp_path, "squeezenet1_0@random:3", scales=(64,), mirror=False
    )
    from vggfeat.vgg import initialise

    net = torchvision.models.squeezenet1_0(weights=None).eval()
    initialise(net, "glorot", seed=3)
    prepare = torchvision.transforms.Compose(
        [
            torchvision.transforms.Resize(64),
            torchvision.transforms.ToTensor(),
            torchvision.transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )
    found = stored(extracted, pictures, (64,))[:, 0]
    assert found.shape == (7, 512)
    for row, path in enumerate(pictures.values()):
        with torch.inference_mode():
            image = prepare(Image.open(path).convert("RGB"))
            expected = net.features(image[None]).mean(dim=(2, 3))[0]
        np.testing.assert_allclose(found[row], expected, rtol=1e-4, atol=1e-5)


def test_batched_descriptors_equal_single_ones(tmp_path, pictures):
    batched, _ = run(pictures, tmp_path / "batched")
    single, _ = run(pictures, tmp_path / "single", batch_size=1)
    np.testing.assert_allclose(
        stored(batched, pictures), stored(single, pictures), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("net", ["vgg11:width=0.25,input_size=32@random:0", "resnet18@random:0"])
def test_bf16_stays_close_to_fp32(tmp_path, pictures, net):
    """Of one process and one net, so that each precision meets what the other left behind."""
    fp32, bf16, again = (
        stored(run(pictures, tmp_path / f"{number}", net, precision=precision)[0], pictures)
        for number, precision in enumerate(("fp32", "bf16", "fp32"))
    )
    assert np.array_equal(fp32, again)
    norms = np.linalg.norm(fp32, axis=2) * np.linalg.norm(bf16, axis=2)
    assert 0.9999 <= ((fp32 * bf16).sum(axis=2) / norms).min() < 1


def test_the_file_says_at_which_precision_it_was_made(tmp_path, pictures, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})
    extracted, _ = run(pictures, tmp_path, precision="auto", device="cpu")
    assert store.inspect(extracted.path).conditions.precision == "bf16"


def test_stages_are_timed_where_something_is_new(tmp_path, pictures):
    extracted, _ = run(pictures, tmp_path)
    assert list(extracted.stage_seconds) == ["decode", "prepare", "forward", "store"]
    assert all(seconds > 0 for seconds in extracted.stage_seconds.values())
    assert extracted.stage_seconds["forward"] <= extracted.seconds
    assert extracted.stage_seconds["store"] <= extracted.seconds  # of a thread of its own
    assert 0 < sum(extracted.scale_seconds.values()) <= extracted.seconds
    assert run(pictures, tmp_path)[0].stage_seconds == {}


def test_a_second_run_opens_no_picture(tmp_path, pictures, monkeypatch):
    first, _ = run(pictures, tmp_path)
    monkeypatch.setattr(Image, "open", lambda *_: pytest.fail("a picture was opened"))
    second, _ = run(pictures, tmp_path)
    assert first.num_new == 7 and second.num_new == 0
    assert second.path == first.path


def test_only_missing_pictures_are_extracted(tmp_path, pictures):
    few = dict(list(pictures.items())[:3])
    run(few, tmp_path)
    extracted, _ = run(pictures, tmp_path)
    assert extracted.num_new == 4
    whole, _ = run(pictures, tmp_path / "other")
    np.testing.assert_allclose(
        stored(extracted, pictures), stored(whole, pictures), rtol=1e-4, atol=1e-4
    )


def test_a_changed_picture_is_extracted_again(tmp_path, pictures):
    before, _ = run(pictures, tmp_path)
    old = stored(before, pictures)
    write_picture(pictures["2"], (48, 36), seed=99)
    extracted, _ = run(pictures, tmp_path)
    assert extracted.num_new == 1
    changed = (stored(extracted, pictures) != old).any(axis=(1, 2))
    assert changed.tolist() == [i == "2" for i in pictures]


def test_an_interrupted_run_keeps_its_batches_and_the_next_ends_bit_equal(tmp_path, pictures):
    whole, _ = run(pictures, tmp_path / "whole", batch_size=2)
    with interrupted_at(7):  # the fourth batch, at the second scale
        run(pictures, tmp_path, batch_size=2)
    rest, _ = run(pictures, tmp_path, batch_size=2)
    assert rest.num_new == 2  # after batches of 2, 1 and 2
    assert np.array_equal(stored(rest, pictures), stored(whole, pictures))


@pytest.mark.parametrize(
    "behind, expected",
    [(0, ["queued", "stored"] * 4), (1, ["queued", *["queued", "stored"] * 3, "stored"])],
)
def test_a_batch_is_put_in_for_storing_at_once_or_when_the_next_has_been_queued(
    tmp_path, pictures, monkeypatch, behind, expected
):
    """So a GPU has something to do while the next is awaited."""
    order = []
    monkeypatch.setattr(Cpu, "num_in_flight", behind)

    def noted(kind, module, batch, **options):
        order.append("queued")
        return describe(kind, module, batch, **options)

    monkeypatch.setattr("vggfeat.features.pipeline.describe", noted)
    monkeypatch.setattr(StoringThread, "put", lambda *_: order.append("stored"))
    run(pictures, tmp_path, scales=(32,), batch_size=2)
    assert order == expected  # 2 + 1 and 2 + 2 pictures


@pytest.mark.parametrize("behind", [0, 1])
def test_what_was_computed_before_a_picture_that_stops_all_is_stored(
    tmp_path, pictures, monkeypatch, behind
):
    monkeypatch.setattr(Cpu, "num_in_flight", behind)
    sizes = {i: images.picture_size(path) for i, path in pictures.items()}
    order = [i for ids in plan_batches(sizes, (32,), 1) for i in ids]
    damaged = pictures[order[3]]
    damaged.write_bytes(damaged.read_bytes()[:120])
    with pytest.raises(PictureError):
        run(pictures, tmp_path, scales=(32,), batch_size=1)
    (path,) = tmp_path.glob("*.h5")
    assert store.inspect(path).num_done == 3


@pytest.mark.parametrize("keep", [0, 120])
def test_unreadable_picture_stops_or_is_skipped_by_name(tmp_path, pictures, keep):
    """0 bytes fail when sizes are read, 120 bytes when pixels are."""
    pictures["4"].write_bytes(pictures["4"].read_bytes()[:keep])
    with pytest.raises(PictureError, match=r"4.png: cannot be read.*--on-error skip"):
        run(pictures, tmp_path)
    extracted, _ = run(pictures, tmp_path, on_error="skip")
    assert list(extracted.skipped) == ["4"] and "4.png" in extracted.skipped["4"]
    readable = {i: path for i, path in pictures.items() if i != "4"}
    whole, _ = run(readable, tmp_path / "readable")
    np.testing.assert_allclose(
        stored(extracted, readable), stored(whole, readable), rtol=1e-4, atol=1e-4
    )


def test_a_missing_picture_is_skipped_like_an_unreadable_one(tmp_path, pictures):
    pictures["3"].unlink()
    with pytest.raises(PictureError, match="3.png: no such picture"):
        run(pictures, tmp_path)
    assert list(run(pictures, tmp_path, on_error="skip")[0].skipped) == ["3"]


def test_progress_counts_up_to_the_pictures_asked_for(tmp_path, pictures):
    pictures["4"].write_bytes(b"")
    calls = []
    options = Extraction(scales=(32,), batch_size=2, on_error="skip")
    extract("test", pictures, load_network(NARROW), options, folder=tmp_path,
            progress=lambda label, done, total: calls.append((done, total)))  # fmt: skip
    assert calls[-1] == (7, 7) and calls == sorted(calls)


def test_descriptors_that_are_not_finite_are_not_stored(tmp_path, pictures):
    """float16 ends at 65,504; this net's activations are made to pass it."""
    network = load_network(NARROW)
    network.maps.dense.fc7.bias.data += 1e5
    options = Extraction(scales=(32,), dtype="float16")
    with pytest.raises(NetworkError, match="not finite as float16.*--dtype float32"):
        extract("test", pictures, network, options, folder=tmp_path)
    (path,) = tmp_path.glob("*.h5")
    assert store.inspect(path).num_done == 0


def test_weights_that_do_not_fit_leave_no_file(tmp_path, pictures):
    save_file({"features.0.weight": torch.zeros(1)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="does not fit"):
        run(pictures, tmp_path, f"vgg11@{tmp_path}/w.safetensors", scales=(224,))
    assert not list(tmp_path.glob("*.h5"))


def test_running_out_of_memory_says_what_to_try(tmp_path, pictures, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 1")

    monkeypatch.setattr("vggfeat.features.pipeline.describe", full)
    with pytest.raises(OptionError, match="not enough memory .* Try --batch-size 1"):
        run(pictures, tmp_path)


def test_a_scale_below_the_nets_input_size_is_refused(tmp_path, pictures):
    with pytest.raises(OptionError, match="scale 24 is too small .* at least 32"):
        run(pictures, tmp_path, scales=(24, 48))


@pytest.mark.parametrize(
    "options, message",
    [
        ({"scales": ()}, "scales must be from 1"),
        ({"scales": (0,)}, "scales must be from 1"),
        ({"scales": (32, 32)}, "given twice"),
        ({"scales": (32,), "batch_size": 0}, "at least 1; got 0"),
        ({"scales": (32,), "precision": "fp16"}, "one of auto, fp32, bf16; got 'fp16'"),
        ({"scales": (32,), "device": "gpu"}, "one of auto, cpu, cuda"),
    ],
)
def test_options_that_make_no_sense_are_refused(options, message):
    with pytest.raises(OptionError, match=message):
        Extraction(**options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_cuda_without_a_gpu_is_refused():
    with pytest.raises(OptionError, match="no CUDA device"):
        Extraction(scales=(32,), device="cuda")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
def test_gpu_and_cpu_descriptors_agree(tmp_path, pictures):
    cpu, _ = run(pictures, tmp_path / "cpu", device="cpu")
    gpu, _ = run(pictures, tmp_path / "gpu", device="cuda", precision="fp32")
    np.testing.assert_allclose(stored(gpu, pictures), stored(cpu, pictures), rtol=1e-3, atol=1e-3)


PEAK = r"""
import re, sys
from pathlib import Path
from vggfeat.backbones.load import load_network
from vggfeat.dataset_rows import DatasetRow, as_file
from vggfeat.features.extract import extract
from vggfeat.features.options import Extraction
picture, count, folder = sys.argv[1:]
options = Extraction(scales=(64, 96), precision="fp32", device="cpu")
pictures = {f"{n}": Path(picture) for n in range(int(count))}
extract("test", pictures, load_network("vgg11:width=0.25,input_size=32@random:0"), options,
        folder=Path(folder))
print(re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())[1])
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peaks are read as Linux reports them")
def test_memory_does_not_grow_with_the_number_of_pictures(tmp_path):
    picture = write_picture(tmp_path / "one.jpg", (100, 80))
    few, many = (
        int(subprocess.run(
            [sys.executable, "-c", PEAK, str(picture), str(count), str(tmp_path / f"{count}")],
            check=True, capture_output=True, text=True,
        ).stdout)
        for count in (500, 3000)
    )  # fmt: skip
    assert many - few < 50 * 1024  # KiB; the arrays of 3000 pictures would be 130 MiB


def test_a_picture_of_a_user_that_holds_something_else_is_extracted_again(tmp_path, caplog):
    """Of equal sizes; only where may_change says that the files are a user's."""
    pictures = {f"{n}.bmp": write_picture(tmp_path / f"{n}.bmp", seed=n) for n in range(3)}
    network, options = load_network(NARROW), Extraction(scales=(32,))
    to = tmp_path / "x.h5"
    extract("p", pictures, network, options, to=to, may_change=True)
    before = store.read(to, list(pictures), (32,))
    write_picture(pictures["1.bmp"], seed=9)
    assert extract("p", pictures, network, options, to=to).num_new == 0
    assert extract("p", pictures, network, options, to=to, may_change=True).num_new == 1
    assert "1 of its pictures hold something else now, '1.bmp' among them" in caplog.text
    after = store.read(to, list(pictures), (32,))
    assert [(a != b).any() for a, b in zip(before, after, strict=True)] == [False, True, False]
    assert extract("p", pictures, network, options, to=to, may_change=True).num_new == 0


VIEWING = """
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveMaxPool2d(4))

    def forward(self, images):
        return self.layers(images).view(-1, 128)
"""


def test_a_net_that_needs_another_order_in_memory_is_refused(tmp_path, pictures, monkeypatch):
    (tmp_path / "viewing_net.py").write_text(VIEWING)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(NetworkError, match=r"calls view\(\) .* Write reshape\(\) or flatten\(\)"):
        run(pictures, tmp_path, "viewing_net:Net")


def test_rows_of_a_users_dataset_that_hold_something_else_are_extracted_again(tmp_path):
    """They have no file of which a time could be seen, and all are equally large."""
    pixels = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), dtype=np.uint8)
    rows = {f"train/{n}": DatasetRow(lambda n: as_file(pixels[n]), n, f"row {n}") for n in range(3)}
    network, options = load_network(NARROW), Extraction(scales=(32,))
    to = tmp_path / "x.h5"
    assert extract("p", rows, network, options, to=to, may_change=True).num_new == 3
    pixels[1] = 255 - pixels[1]
    assert extract("p", rows, network, options, to=to, may_change=True).num_new == 1
