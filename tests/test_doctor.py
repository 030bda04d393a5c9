"""What the doctor says of a net, and of a picture whose answer is known."""

import hashlib
import tarfile

import numpy as np
import pytest
import torch
from helpers.pictures import write_picture
from PIL import Image
from safetensors.torch import save_file
from torchvision import models

from vggfeat import vgg
from vggfeat.backbones.convert import export_weights
from vggfeat.backbones.load import load_network
from vggfeat.doctor import network_facts, top_classes
from vggfeat.errors import NetworkError, PictureError, WeightsError
from vggfeat.weights import released
from vggfeat.weights.checkpoint import Card

NET = "vgg11:width=0.0625,input_size=32"
CLASSES = ("ant", "bee", "cat", "dog", "elk", "fox")
MEAN = (120.0, 110.0, 100.0)


def told(network):
    return dict(network_facts(network))


def make_file(
    path, *, classes=CLASSES, num_outputs=None, input_size=32, training=None, scores=None
):
    """A narrow net; with scores, one that gives these for any picture."""
    net = vgg.build(
        "vgg11", num_classes=num_outputs or len(classes), width=0.0625, input_size=input_size
    )
    vgg.initialise(net, "glorot", seed=2)
    tensors = dict(net.state_dict())
    if scores is not None:
        tensors["classifier.6.weight"] = torch.zeros_like(tensors["classifier.6.weight"])
        tensors["classifier.6.bias"] = torch.tensor(scores, dtype=torch.float32)
    card = Card(
        net=f"vgg11:width=0.0625,input_size={input_size}", classes=tuple(classes), mean=MEAN,
        std=(1.0, 1.0, 1.0), training=training or {},
    )  # fmt: skip
    save_file(tensors, path, card.metadata())
    return path


def test_what_it_says_of_a_net_of_ones_own(tmp_path):
    path = make_file(tmp_path / "w.safetensors")
    number = sum(tensor.numel() for tensor in load_network(str(path)).net().state_dict().values())
    assert told(load_network(str(path))) == {
        "net": NET,
        "parameters": f"{number:,}",
        "weights": "w.safetensors",
        "digest": f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}",
        "pixels less the mean": "R 120, G 110, B 100",
        "divided by": "R 1, G 1, B 1",
        "descriptor": "fc7, 256 numbers",
        "sees": "the whole picture",
        "takes sides of": "32 and more pixels; trained on 32",
        "outputs": "6: ant, bee, ..., fox",
    }


@pytest.mark.parametrize("suffix", [".pth", ".caffemodel", ".mat"])
def test_nets_of_every_source_are_understood_alike(tmp_path, suffix):
    first = load_network(str(make_file(tmp_path / "w.safetensors")))
    export_weights(first, tmp_path / f"w{suffix}")
    there, expected = told(load_network(str(tmp_path / f"w{suffix}"))), told(first)
    assert there.pop("weights") == f"w{suffix}"
    digest = hashlib.sha256((tmp_path / f"w{suffix}").read_bytes()).hexdigest()
    assert there.pop("digest") == f"sha256:{digest}"
    assert there.pop("imported, file") == "w.safetensors"
    assert there.pop("imported, sha256") == expected.pop("digest").removeprefix("sha256:")
    del expected["weights"]
    assert there == expected


def test_a_bare_caffemodel_is_understood_as_caffes(tmp_path):
    export_weights(load_network(f"{NET}@random:0"), tmp_path / "w.caffemodel")
    (tmp_path / "w.caffemodel.card.json").unlink()
    found = told(load_network(str(tmp_path / "w.caffemodel")))
    assert found["net"] == f"{NET},ceil_mode=true"
    assert found["pixels less the mean"] == "R 123.68, G 116.779, B 103.939 (assumed)"
    assert found["imported, format"] == "Caffe"
    assert found["outputs"] == "1000: tench, goldfish, ..., toilet tissue (ILSVRC assumed)"


def test_random_weights_and_nets_of_torchvision_are_understood():
    found = told(load_network(f"{NET}@random:7"))
    assert found["weights"] == found["digest"] == "random:7"
    found = told(load_network("squeezenet1_0@random:0"))
    assert found["divided by"] == "R 58.395, G 57.12, B 57.375"
    assert found["parameters"] == "1,248,424"  # as torchvision's documentation has it


def test_what_is_known_of_released_weights_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 8, 16, 32, 32))
    monkeypatch.setattr(vgg, "FC_UNITS", 256)
    torch.save(vgg.build("vgg11").state_dict(), tmp_path / "w.pth")
    sha256 = hashlib.sha256((tmp_path / "w.pth").read_bytes()).hexdigest()
    row = (f"vgg11-{sha256[:8]}.pth", 507, 69.0, 88.6)
    monkeypatch.setitem(released.TORCHVISION_FAMILY, "vgg11", row)
    (tmp_path / "w.pth").rename(tmp_path / row[0])
    found = told(load_network("vgg11", weights_dir=tmp_path, offline=True))
    assert found["weights"] == "torchvision" and found["digest"] == f"sha256:{sha256}"
    assert found["outputs"] == "1000: tench, goldfish, ..., toilet tissue"  # not assumed
    assert found["pixels less the mean"] == "R 123.675, G 116.28, B 103.53"


@pytest.mark.parametrize("imported", [["a", 1, None], {"notes": ["a", 2], "more": {"b": 1}}, "x"])
def test_odd_remarks_in_a_card_are_no_obstacle(tmp_path, imported):
    path = make_file(tmp_path / "w.safetensors", training={"imported": imported})
    assert all(isinstance(value, str) for value in told(load_network(str(path))).values())


def test_a_net_of_two_classes_and_one_of_a_layer(tmp_path):
    path = make_file(tmp_path / "w.safetensors", classes=("no", "yes"))
    found = told(load_network(f"{path}:layer=pool5,view=centre"))
    assert found["outputs"] == "2"
    assert found["descriptor"] == "pool5, centre crop of 32, 32 numbers"
    assert found["sees"] == "the centre crop"


def test_weights_that_do_not_fit_are_no_net(tmp_path):
    save_file({"a": torch.ones(2)}, tmp_path / "w.safetensors")
    with pytest.raises(WeightsError, match="w.safetensors: does not fit the net"):
        told(load_network(f"{NET}@{tmp_path / 'w.safetensors'}"))


def test_the_class_that_must_win_wins(tmp_path):
    """The scores are the logarithms of the posteriors, whatever the picture."""
    expected = {"elk": 0.5, "ant": 0.25, "fox": 0.125, "cat": 0.0625, "bee": 0.04, "dog": 0.0225}
    scores = np.log([expected[name] for name in CLASSES]) + 3
    path = make_file(tmp_path / "w.safetensors", scores=scores.tolist())
    for size in ((48, 36), (32, 32), (20, 90)):
        picture = write_picture(tmp_path / "p.png", size)
        found = top_classes(load_network(str(path)), picture)
        assert [name for _, name in found] == list(expected)[:5]
        assert [value for value, _ in found] == pytest.approx(list(expected.values())[:5], rel=1e-5)


@pytest.mark.parametrize("kind", ["caffemodel", "mat", "pth"])
def test_the_colour_decides_in_every_format(tmp_path, kind):
    """A net that adds up the red less the mean, and one channel for each other colour."""
    classes = ("red", "green", "blue")
    tensors = {key: torch.zeros_like(value) for key, value in vgg.build(
        "vgg11", num_classes=3, width=0.0625, input_size=32).state_dict().items()}  # fmt: skip
    for layer, weight in tensors.items():
        if weight.ndim == 4:
            for colour in range(3):
                weight[colour, colour, 1, 1] = 1
        elif weight.ndim == 2:
            for colour in range(3):
                weight[colour, colour] = 0.05 if layer == "classifier.6.weight" else 1
    card = Card(net=NET, classes=classes, mean=MEAN, std=(1.0, 1.0, 1.0), training={})
    save_file(tensors, tmp_path / "w.safetensors", card.metadata())
    export_weights(load_network(str(tmp_path / "w.safetensors")), tmp_path / f"w.{kind}")
    network = load_network(str(tmp_path / f"w.{kind}"))
    for number, name in enumerate(classes):
        colour = np.full((50, 40, 3), 105, np.uint8)
        colour[..., number] = 200
        Image.fromarray(colour).save(tmp_path / "p.png")
        ramps = np.maximum(np.array(colour[0, 0], float) - MEAN, 0) * 0.05
        posteriors = np.exp(ramps) / np.exp(ramps).sum()
        (value, best), *_ = top_classes(network, tmp_path / "p.png")
        assert best == name and value == pytest.approx(posteriors[number], rel=1e-4)


def test_a_picture_gives_what_the_net_gives_for_its_centre(tmp_path):
    path = make_file(tmp_path / "w.safetensors", input_size=96)
    colours = np.random.default_rng(0).integers(0, 256, (110, 110, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "p.png")  # as large as it is scaled to: 96 / 224 * 256
    network = load_network(str(path))
    centre = colours[7:103, 7:103].astype(np.float32) - np.array(MEAN, np.float32)
    with torch.inference_mode():
        scores = network.net()(torch.from_numpy(centre.transpose(2, 0, 1).copy())[None])[0]
    posteriors, order = torch.softmax(scores, 0).sort(descending=True)
    found = top_classes(network, tmp_path / "p.png")
    assert [name for _, name in found] == [CLASSES[index] for index in order[:5]]
    assert [value for value, _ in found] == pytest.approx(posteriors[:5].tolist(), rel=1e-4)


def test_fewer_than_five_classes_and_classes_without_names(tmp_path):
    picture = write_picture(tmp_path / "p.png")
    path = make_file(tmp_path / "2.safetensors", classes=("no", "yes"), scores=[0.0, 1.0])
    assert [name for _, name in top_classes(load_network(str(path)), picture)] == ["yes", "no"]
    path = make_file(tmp_path / "7.safetensors", classes=(), num_outputs=7, scores=[*range(7)])
    names = [name for _, name in top_classes(load_network(str(path)), picture)]
    assert names == ["class 6", "class 5", "class 4", "class 3", "class 2"]


def test_a_thousand_classes_without_names_are_taken_for_ilsvrcs(tmp_path):
    scores = torch.zeros(1000)
    scores[285] = 9
    path = make_file(
        tmp_path / "w.safetensors", classes=(), num_outputs=1000, scores=scores.tolist()
    )
    (_, best), *_ = top_classes(load_network(str(path)), write_picture(tmp_path / "p.png"))
    assert best == models.AlexNet_Weights.IMAGENET1K_V1.meta["categories"][285] == "Egyptian cat"


@pytest.mark.parametrize(
    "training, num_outputs, reason",
    [
        ({}, 9, "its card names 6, and the net has 9 outputs"),
        ({}, 4, "its card names 6, and the net has 4 outputs"),
        ({"recipe": {"regressor": "scr"}}, 4, "it predicts boxes, not classes"),
        ({"recipe": {"regressor": "pcr"}}, 24, "it predicts boxes, not classes"),
    ],
)
def test_outputs_that_are_not_the_classes_are_told_and_give_no_top_5(
    tmp_path, training, num_outputs, reason
):
    path = make_file(tmp_path / "w.safetensors", num_outputs=num_outputs, training=training)
    found = told(load_network(str(path)))
    assert found["outputs"] == str(num_outputs) and found["classes"].startswith(reason)
    with pytest.raises(WeightsError, match=f"w.safetensors: {reason}"):
        top_classes(load_network(str(path)), write_picture(tmp_path / "p.png"))


def test_pictures_that_are_none_are_told(tmp_path):
    network = load_network(str(make_file(tmp_path / "w.safetensors")))
    (tmp_path / "text.png").write_text("no picture")
    for name in ("gone.png", "text.png", "."):
        with pytest.raises(PictureError):
            top_classes(network, tmp_path / name)


def test_nets_of_ones_own_give_scores_a_map_of_them_or_say_that_they_do_not(tmp_path, monkeypatch):
    (tmp_path / "nets_of_mine.py").write_text(
        "import torch\n"
        "def maps():\n    return conv()\n"
        "def conv():\n    torch.manual_seed(0)\n    return torch.nn.Conv2d(3, 4, 3).eval()\n"
        "def scores():\n"
        "    pool = torch.nn.AdaptiveAvgPool2d(1)\n"
        "    return torch.nn.Sequential(conv(), pool, torch.nn.Flatten())\n"
        "def tokens():\n    return torch.nn.Sequential(conv(), torch.nn.Flatten(2))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    picture = write_picture(tmp_path / "p.png", (64, 64))
    assert told(load_network("nets_of_mine:maps"))["descriptor"] == "output, 4 numbers"
    maps = top_classes(load_network("nets_of_mine:maps"), picture)
    scores = top_classes(load_network("nets_of_mine:scores"), picture)
    assert [name for _, name in maps] == [name for _, name in scores]
    assert [value for value, _ in maps] == pytest.approx([value for value, _ in scores], rel=1e-4)
    with pytest.raises(NetworkError, match="no class scores"):
        top_classes(load_network("nets_of_mine:tokens"), picture)


@pytest.mark.real
@pytest.mark.parametrize("class_name", ["accordion", "dalmatian", "grand_piano"])
def test_a_net_that_has_learned_names_real_pictures(real_data, tmp_path, class_name):
    """Most of the first eight pictures of three classes that Caltech-101 and ILSVRC share."""
    with tarfile.open(real_data / "data" / "caltech101-cap80.tar") as archive:
        for number in range(1, 9):
            name = f"101_ObjectCategories/{class_name}/image_{number:04d}.jpg"
            archive.extract(name, tmp_path, filter="data")
    weights = real_data / "weights" / "squeezenet1_0_imagenet.safetensors"
    network = load_network(f"squeezenet1_0@{weights}")
    likeliest = [top_classes(network, picture)[0][1] for picture in tmp_path.rglob("*.jpg")]
    assert len(likeliest) == 8
    assert likeliest.count(class_name.replace("_", " ")) >= 5
