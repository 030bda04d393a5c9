"""The catalogue of released weights: what it says agrees with torchvision and with the releases."""

import hashlib
import re
import shutil
import threading
from dataclasses import replace
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import torch
from torchvision import models

from vggfeat import vgg
from vggfeat.backbones.load import load_network, yet_to_be_fetched
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import DownloadError, UnknownNameError, WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS
from vggfeat.storage.download import download
from vggfeat.storage.sources import Source
from vggfeat.weights import released as catalogue
from vggfeat.weights.released import everything, identified, released

NETS = models.list_models(module=models)
# Net -> each of torchvision's sets of weights once; DEFAULT is another name of one of them.
SETS = {net: list(models.get_model_weights(net)) for net in NETS}


@cache
def all_entries():
    return list(everything())


def sets_of(net):
    """The catalogue's entries that are torchvision's, by address."""
    found = [one for one in all_entries() if one.net == net and one not in catalogue.ORIGINALS]
    assert len({one.sources[0].url for one in found}) == len(found)
    return {one.sources[0].url: one for one in found}


@pytest.mark.parametrize("net", ["vgg11", "vgg13", "vgg16", "vgg19"])
def test_the_rows_that_need_no_torchvision_are_torchvisions(net):
    first = models.get_model_weights(net)["IMAGENET1K_V1"]
    entry = released(net, "torchvision")
    assert entry.sources[0].url == first.url
    top1, top5 = (first.meta["_metrics"]["ImageNet-1K"][key] for key in ("acc@1", "acc@5"))
    assert entry.error == f"{100 - top1:.1f} / {100 - top5:.1f} centre crop"
    assert entry.megabytes == pytest.approx(first.meta["_file_size"] * 2**20 / 1e6)
    assert entry == next(one for one in all_entries() if one.label == f"{net}@torchvision")


@pytest.mark.parametrize(
    "net, file, top1, top5",
    [
        ("vgg11", "vgg11-8a719046.pth", 69.02, 88.628),
        ("vgg13", "vgg13-19584684.pth", 69.928, 89.246),
        ("vgg16", "vgg16-397923af.pth", 71.592, 90.382),
        ("vgg19", "vgg19-dcbb9e9d.pth", 72.376, 90.876),
        ("vgg11_bn", "vgg11_bn-6002323d.pth", 70.37, 89.81),
        ("vgg13_bn", "vgg13_bn-abd245e5.pth", 71.586, 90.374),
        ("vgg16_bn", "vgg16_bn-6c64b313.pth", 73.36, 91.516),
        ("vgg19_bn", "vgg19_bn-c79401a0.pth", 74.218, 91.842),
    ],
)
def test_torchvisions_vggs_are_those_that_are_known(net, file, top1, top5):
    entry = released(net, "torchvision")
    assert entry.sources[0].name == file and entry.sources[0].algorithm == "sha256"
    assert entry.error.startswith(f"{100 - top1:.1f} / {100 - top5:.1f}")
    assert entry.original == ""


ORIGINALS = {  # name of the set -> file, algorithm, digest, for 16 and 19 layers
    "caffe": [
        ("VGG_ILSVRC_16_layers.caffemodel", "sha1", "9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24"),
        ("VGG_ILSVRC_19_layers.caffemodel", "sha1", "239785e7862442717d831f682bb824055e51e9ba"),
    ],
    "matconvnet": [
        ("imagenet-vgg-verydeep-16.mat", "md5", "f72d927587ca4c97fbd165ec9cb9997f"),
        ("imagenet-vgg-verydeep-19.mat", "md5", "106118b7cf60435e6d8e04f6a6dc3657"),
    ],
    "caffe-pth": [
        ("vgg16-00b39a1b.pth", "sha256", "00b39a1b"),
        ("vgg19-d01eb7cb.pth", "sha256", "d01eb7cb"),
    ],
}


@pytest.mark.parametrize("name", ORIGINALS)
@pytest.mark.parametrize("net", ["vgg16", "vgg19"])
def test_the_papers_own_weights(net, name):
    entry = released(net, name)
    (source,) = entry.sources
    expected = ORIGINALS[name][net == "vgg19"]
    assert (source.name, source.algorithm, source.digest) == expected
    assert entry.statistics == PAPER_STATISTICS and entry.ceil_mode
    assert entry.bgr == (name == "caffe-pth")  # of the others the format says it
    crop = {"vgg16": "28.5 / 9.9", "vgg19": "28.7 / 9.9"}[net]
    dense = {"vgg16": "top-5 8.1 dense at 384", "vgg19": "top-5 8.0 dense at 384"}[net]
    assert entry.error.startswith(crop if name == "matconvnet" else dense)


@pytest.mark.parametrize("net", NETS)
def test_every_set_of_torchvisions_is_there_once_and_can_be_asked_for(net):
    entries = sets_of(net)
    assert entries.keys() == {weights.url for weights in SETS[net]}
    first = next((w for w in SETS[net] if w.name == "IMAGENET1K_V1"), SETS[net][0])
    for weights in SETS[net]:
        entry = entries[weights.url]
        assert entry.name == ("torchvision" if weights is first else weights.name)
        assert catalogue.NAMES.fullmatch(entry.name)
        assert released(net, entry.name) == released(net, weights.name) == entry
        digest = re.search(r"-([0-9a-f]{8,})\.pth$", weights.url)[1]
        assert entry.sources == (Source(weights.url, "sha256", digest),)
        preset = weights.transforms()
        mean, std = ([255 * number for number in numbers] for numbers in (preset.mean, preset.std))
        if net in ("googlenet", "inception_v3"):  # which normalise what they are given once more
            mean = std = [127.5] * 3
        assert entry.statistics.mean == pytest.approx(mean)
        assert entry.statistics.std == pytest.approx(std)
        assert entry.megabytes == pytest.approx(weights.meta["_file_size"] * 1.048576)


def test_every_entry_has_its_own_label_and_says_all_that_is_known():
    known = all_entries()
    assert len({entry.label for entry in known}) == len(known)
    for entry in known:
        facts = entry.facts()
        told = {"good for", "published error, top-1 / top-5, %", "size", "address", "checksum"}
        assert facts.keys() == told | {"pixels"}
        assert all(facts.values())


def test_features_only_say_so():
    entry = released("vgg16", "IMAGENET1K_FEATURES")
    assert entry.sources[0].name == "vgg16_features-amdegroot-88682ab5.pth"
    assert "no classifier" in entry.use and entry.error == "none" and entry.layer == "pool5"
    assert entry.statistics.mean == pytest.approx((123, 117, 104), abs=0.01)
    assert entry.statistics.std == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    "net, name, error, message",
    [
        ("vgg16", "IMAGENET1K_V2", UnknownNameError, "Did you mean 'IMAGENET1K_V1'.*caffe-pth"),
        ("vgg16", "cafe", UnknownNameError, "Did you mean 'caffe'"),
        ("vgg16_1x1", "torchvision", WeightsError, "no released weights of 'vgg16_1x1'"),
        ("resnet99", "torchvision", WeightsError, "resnet99@FILE.*resnet99@random:0"),
    ],
)
def test_what_is_not_known_is_told_with_what_is(net, name, error, message):
    with pytest.raises(error, match=message) as caught:
        released(net, name)
    assert "DEFAULT" not in str(caught.value)


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.content = [], b""
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def narrow(monkeypatch):
    """All nets with a sixteenth of their channels: released names take nets of full size only."""
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 8, 16, 32, 32))
    monkeypatch.setattr(vgg, "FC_UNITS", 256)


def random_tensors(num_classes=1000):
    net = vgg.build("vgg16", num_classes=num_classes)
    vgg.initialise(net, "glorot", seed=5)
    return dict(net.state_dict())


def put(tensors, path):
    """Save a torch file; its SHA-256."""
    torch.save(tensors, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def serve(monkeypatch, entry, url, algorithm, digest):
    """Put an entry of the catalogue at another address."""
    served = replace(entry, sources=(Source(url, algorithm, digest),))
    kept = tuple(one for one in catalogue.ORIGINALS if one.label != entry.label)
    monkeypatch.setattr(catalogue, "ORIGINALS", (*kept, served))
    return served


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_released_weights_are_fetched_verified_and_used(
    tmp_path, server, narrow, monkeypatch, algorithm
):
    tensors = random_tensors()
    put(tensors, tmp_path / "w.pth")
    server.content = (tmp_path / "w.pth").read_bytes()
    digest = hashlib.new(algorithm, server.content).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}/there/vgg16-x.pth"
    serve(monkeypatch, released("vgg16", "caffe-pth"), url, algorithm, digest)
    with pytest.raises(DownloadError, match=f"by hand: vgg16-x.pth \\({algorithm} {digest}\\)"):
        load_network("vgg16@caffe-pth", weights_dir=tmp_path / "new", offline=True)
    for _ in range(2):
        network = load_network("vgg16@caffe-pth", weights_dir=tmp_path / "new")
    assert server.asked == ["/there/vgg16-x.pth"]
    assert network.weights_sha256 == hashlib.sha256(server.content).hexdigest()
    assert network.name == "vgg16:ceil_mode=true" and network.statistics == PAPER_STATISTICS


def test_another_file_at_the_address_is_not_taken(tmp_path, server, monkeypatch):
    server.content = b"another file"
    url = f"http://127.0.0.1:{server.server_port}/vgg16-x.pth"
    entry = serve(monkeypatch, released("vgg16", "caffe-pth"), url, "sha256", "00b39a1b")
    with pytest.raises(DownloadError, match="wrong content: sha256 .*, not 00b39a1b"):
        load_network("vgg16@caffe-pth", weights_dir=tmp_path)
    assert not (tmp_path / "vgg16-x.pth").exists()
    (tmp_path / "vgg16-x.pth").write_bytes(b"put there by hand")
    assert download(entry.sources, tmp_path, offline=True) == tmp_path / "vgg16-x.pth"
    with pytest.raises(WeightsError, match="its SHA-256 starts with .{8}, and vgg16@caffe-pth has"):
        load_network("vgg16@caffe-pth", weights_dir=tmp_path, offline=True)


@pytest.mark.parametrize("older", [True, False])
def test_weights_for_b_g_r_become_weights_for_r_g_b(tmp_path, narrow, monkeypatch, older):
    """The ports for torch take B, G, R, and have the classifier of older nets."""
    expected = random_tensors()
    stored = dict(expected)
    stored["features.0.weight"] = stored["features.0.weight"][:, [2, 1, 0]]
    if older:
        for new, old in (("0", "1"), ("3", "4")):
            for kind in ("weight", "bias"):
                stored[f"classifier.{old}.{kind}"] = stored.pop(f"classifier.{new}.{kind}")
    sha256 = put(stored, tmp_path / "vgg16-x.pth")
    url = "https://nowhere.invalid/vgg16-x.pth"
    serve(monkeypatch, released("vgg16", "caffe-pth"), url, "sha256", sha256[:8])
    by_name = load_network("vgg16@caffe-pth", weights_dir=tmp_path, offline=True)
    shutil.copy(tmp_path / "vgg16-x.pth", tmp_path / "mine.pth")
    by_digest = load_network(f"vgg16@{tmp_path / 'mine.pth'}")
    for network in (by_name, by_digest):
        tensors = network.net().state_dict()
        assert tensors.keys() == expected.keys()
        assert all(torch.equal(tensors[key], expected[key]) for key in expected)
        assert network.original == "released Caffe model"
        assert network.statistics == PAPER_STATISTICS
        assert network.name == "vgg16:ceil_mode=true"
        assert network.classes == ()  # nobody says them


def test_a_file_is_known_by_its_digest(tmp_path, monkeypatch):
    path = tmp_path / "any.pth"
    path.write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    assert identified("vgg16", path, sha256) is None
    file = f"vgg16-{sha256[:8]}.pth"
    monkeypatch.setitem(catalogue.TORCHVISION_FAMILY, "vgg16", (file, 1, 70.0, 90.0))
    assert identified("vgg16", path, sha256).label == "vgg16@torchvision"
    assert identified("vgg19", path, sha256) is None
    second = models.ResNet50_Weights.IMAGENET1K_V2
    monkeypatch.setattr(second.value, "url", f"https://nowhere.invalid/resnet50-{sha256[:8]}.pth")
    assert identified("resnet50", path, sha256).label == "resnet50@IMAGENET1K_V2"


def test_a_file_with_another_digest_is_known_by_that_and_its_name(tmp_path, monkeypatch):
    content = b"a model of Caffe's"
    sha1, sha256 = (hashlib.new(name, content).hexdigest() for name in ("sha1", "sha256"))
    url = "https://nowhere.invalid/its.caffemodel"
    entry = serve(monkeypatch, released("vgg16", "caffe"), url, "sha1", sha1)
    for name, content_here, found in (
        ("its.caffemodel", content, entry),
        ("its.caffemodel", b"another", None),
        ("mine.caffemodel", content, None),
    ):
        (tmp_path / name).write_bytes(content_here)
        assert identified("vgg16", tmp_path / name, sha256) == found


@pytest.fixture
def features(tmp_path, narrow, monkeypatch):
    """A file such as torchvision's with the convolutions alone; its tensors."""
    tensors = random_tensors()
    for key, tensor in tensors.items():
        if key.startswith("classifier"):
            tensor.fill_(torch.nan)
    sha256 = put(tensors, tmp_path / "features.pth")
    file = f"vgg16_features-{sha256[:8]}.pth"
    (tmp_path / "features.pth").rename(tmp_path / file)
    weights = models.VGG16_Weights.IMAGENET1K_FEATURES
    monkeypatch.setattr(weights.value, "url", f"https://nowhere.invalid/{file}")
    return tensors


def test_convolutions_alone_give_their_layers(tmp_path, features):
    network = load_network(
        "vgg16:layer=pool5@IMAGENET1K_FEATURES", weights_dir=tmp_path, offline=True
    )
    net = vgg.build("vgg16")
    net.load_state_dict(features)
    images = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(network.module(images), net.eval().features(images))
    assert network.statistics.mean == pytest.approx((123, 117, 104), abs=0.01)


@pytest.mark.parametrize("layer", ["", ":layer=fc6", ":layer=fc8"])
def test_convolutions_alone_are_refused_for_more_and_it_is_said_what_they_give(
    tmp_path, features, layer
):
    network = load_network(f"vgg16{layer}@IMAGENET1K_FEATURES", weights_dir=tmp_path, offline=True)
    wanted = r"has no classifier: it can give conv1_1 to pool5 \(layer=pool5\)"
    with pytest.raises(WeightsError, match=wanted):
        network.module(torch.zeros(1, 3, 224, 224))


def test_convolutions_alone_give_no_scores(tmp_path, features):
    network = load_network(
        "vgg16:layer=pool5@IMAGENET1K_FEATURES", weights_dir=tmp_path, offline=True
    )
    with pytest.raises(WeightsError, match="has no classifier.*nor scores"):
        network.output_map(torch.zeros(1, 3, 224, 224))


def test_a_single_value_that_is_not_finite_is_no_missing_classifier(tmp_path, narrow):
    tensors = random_tensors()
    tensors["classifier.3.bias"][0] = torch.nan
    put(tensors, tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="'classifier.3.bias' holds values that are not finite"):
        load_network(f"vgg16@{tmp_path / 'w.pth'}").net()


@pytest.mark.parametrize(
    "text, label, input_size, mean",
    [
        ("vgg16@caffe", "vgg16:ceil_mode=true@caffe", 224, 123.68),
        ("vgg16", "vgg16@torchvision", 224, 123.675),
        ("vit_b_16@IMAGENET1K_SWAG_E2E_V1", "vit_b_16:input_size=384@IMAGENET1K_SWAG_E2E_V1", 384,
         123.675),
        ("timm/test_vit", "timm/test_vit@timm", 160, 127.5),
    ],
)  # fmt: skip
def test_a_plan_is_of_the_net_that_will_be_fetched(text, label, input_size, mean):
    network = yet_to_be_fetched(NetSpec.parse(text))
    assert (network.label, network.backbone.input_size) == (label, input_size)
    assert network.statistics.mean[0] == mean
    assert network.weights_identity == "sha256:to be fetched"
