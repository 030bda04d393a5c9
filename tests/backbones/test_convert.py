"""Weights from one format to another: to the last bit, with what is known of them."""

import hashlib
import json
import shutil
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file
from torchvision import models

from vggfeat import vgg
from vggfeat.backbones.convert import card_of, export_weights, import_weights
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import VggfeatError, WeightsError
from vggfeat.input_statistics import PAPER_STATISTICS, TORCHVISION_STATISTICS
from vggfeat.storage.sources import Source
from vggfeat.weights import formats, released
from vggfeat.weights.checkpoint import Card, read_card

NARROW = "width=0.0625,input_size=32"
NET = f"vgg11:{NARROW}"
CLASSES = ("ant", "bee", "cat", "dog")
TRAINED = {"recipe": {"name": "vgg11"}, "data": {"digest": "d"}, "accuracy": {"top1": 0.5}}
SUFFIXES = (".safetensors", ".pth", ".pt", ".caffemodel", ".mat")


def names_in(folder):
    """The names of its files, but for the digests of those that were seen."""
    return {path.name for path in folder.iterdir() if path.suffix != ".sha256"}


def make_file(path, *, net=NET, std=(1.0, 1.0, 1.0), training=TRAINED, card=True):
    """A native file of a narrow net; its tensors."""
    name = net.partition(":")[0]
    made = vgg.build(name, num_classes=len(CLASSES), width=0.0625, input_size=32)
    vgg.initialise(made, "glorot", seed=2)
    tensors = {key: tensor + 0.1 for key, tensor in made.state_dict().items()}
    its = Card(net=net, classes=CLASSES, mean=(120.5, 110.0, 100.0), std=std, training=training)
    save_file(tensors, path, its.metadata() if card else {})
    return tensors


def same(one, other):
    return one.keys() == other.keys() and all(
        one[key].dtype == other[key].dtype and torch.equal(one[key], other[key]) for key in one
    )


@pytest.mark.parametrize("net", [NET, f"vgg11_lrn:{NARROW}", f"vgg16_1x1:{NARROW},ceil_mode=true"])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_out_and_in_again_nothing_is_lost(tmp_path, suffix, net):
    tensors = make_file(tmp_path / "a.safetensors", net=net)
    out = tmp_path / "there" / f"b{suffix}"
    export_weights(load_network(str(tmp_path / "a.safetensors")), out)
    network = import_weights(out, tmp_path / "c.safetensors")
    assert same(load_file(tmp_path / "c.safetensors"), tensors)
    assert read_card(tmp_path / "c.safetensors") == read_card(tmp_path / "a.safetensors")
    assert network.name == net and network.classes == CLASSES


def test_from_format_to_format_nothing_is_lost(tmp_path):
    tensors = make_file(tmp_path / "0.safetensors")
    here = tmp_path / "0.safetensors"
    for number, suffix in enumerate((*SUFFIXES, *reversed(SUFFIXES)), start=1):
        there = tmp_path / f"{number}{suffix}"
        export_weights(load_network(str(here)), there)
        here = there
    assert same(formats.read(here), tensors)
    assert formats.read_card(here) == read_card(tmp_path / "0.safetensors")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_format_gives_the_same_descriptors(tmp_path, suffix):
    make_file(tmp_path / "a.safetensors")
    network = load_network(str(tmp_path / "a.safetensors"))
    export_weights(network, tmp_path / f"b{suffix}")
    other = load_network(str(tmp_path / f"b{suffix}"))
    images = torch.randn(2, 3, 45, 39, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        assert torch.equal(network.module(images), other.module(images))
        assert torch.equal(network.output_map(images), other.output_map(images))
    assert other.statistics == network.statistics


def test_a_card_says_where_weights_came_from_first(tmp_path):
    make_file(tmp_path / "a.pth.safetensors", card=False)
    torch.save(load_file(tmp_path / "a.pth.safetensors"), tmp_path / "a.pth")
    sha256 = hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()
    network = import_weights(tmp_path / "a.pth", tmp_path / "b.safetensors", net=NetSpec.parse(NET))
    origin = {"imported": {"file": "a.pth", "sha256": sha256}}
    assert read_card(tmp_path / "b.safetensors").training == origin
    assert network.statistics == TORCHVISION_STATISTICS
    export_weights(network, tmp_path / "c.pth")
    import_weights(tmp_path / "c.pth", tmp_path / "d.safetensors")
    assert read_card(tmp_path / "d.safetensors") == read_card(tmp_path / "b.safetensors")


def test_a_card_says_what_the_format_did(tmp_path):
    make_file(tmp_path / "a.safetensors")
    export_weights(load_network(str(tmp_path / "a.safetensors")), tmp_path / "b.caffemodel")
    (tmp_path / "b.caffemodel.card.json").unlink()
    network = import_weights(tmp_path / "b.caffemodel", tmp_path / "c.safetensors")
    imported = read_card(tmp_path / "c.safetensors").training["imported"]
    assert imported == {
        "format": "Caffe", "name": NET, "messages": "LayerParameter", "file": "b.caffemodel",
        "sha256": hashlib.sha256((tmp_path / "b.caffemodel").read_bytes()).hexdigest(),
    }  # fmt: skip
    assert network.name == f"{NET},ceil_mode=true" and network.statistics == PAPER_STATISTICS


@pytest.mark.parametrize("imported", ["a text", ["a", "list"], 7, None])
def test_odd_remarks_in_a_card_are_no_obstacle(tmp_path, imported):
    make_file(tmp_path / "a.safetensors", training={"imported": imported})
    network = load_network(str(tmp_path / "a.safetensors"))
    assert card_of(network).training["imported"]["file"] == "a.safetensors"


def test_random_weights_have_no_digest(tmp_path):
    card = card_of(load_network(f"{NET}@random:3"))
    assert card.training == {"imported": {"file": "random:3"}}
    assert card.mean == PAPER_STATISTICS.mean and card.classes == ()


def test_options_of_the_net_are_kept_and_those_of_the_layer_not(tmp_path):
    asked = f"{NET},ceil_mode=true,layer=pool5,view=centre,mean=1/2/3@random:0"
    export_weights(load_network(asked), tmp_path / "a.safetensors")
    card = read_card(tmp_path / "a.safetensors")
    assert card.net == f"{NET},ceil_mode=true" and card.mean == (1, 2, 3)
    assert load_network(str(tmp_path / "a.safetensors")).backbone.layer == "fc7"


def random_net(name):
    """A net of torchvision's whose random weights are all different."""
    generator = torch.Generator().manual_seed(4)
    net = models.get_model(name, weights=None, num_classes=5)
    for tensor in net.state_dict().values():
        if tensor.is_floating_point():
            tensor.uniform_(0.01, 0.02, generator=generator)
    return net


@pytest.mark.parametrize(
    "name, suffix",
    [("squeezenet1_0", ".safetensors"), ("shufflenet_v2_x0_5", ".pth")],
)
def test_nets_of_torchvision_go_out_and_in(tmp_path, name, suffix):
    tensors = random_net(name).state_dict()
    torch.save(tensors, tmp_path / "a.pth")
    export_weights(load_network(f"{name}@{tmp_path / 'a.pth'}"), tmp_path / f"b{suffix}")
    network = import_weights(tmp_path / f"b{suffix}", tmp_path / "c.safetensors")
    assert same(load_file(tmp_path / "c.safetensors"), tensors)
    assert network.name == name and network.num_outputs == 5
    assert network.statistics == TORCHVISION_STATISTICS
    if suffix == ".pth":  # in torchvision's layout, so it needs no key renamed there
        net = models.get_model(name, weights=None, num_classes=5)
        net.load_state_dict(torch.load(tmp_path / "b.pth", weights_only=True), strict=True)


@pytest.fixture
def known(tmp_path, monkeypatch):
    """A file of SqueezeNet with the name of torchvision's, whose digest it has; its tensors."""
    weights = models.SqueezeNet1_1_Weights.IMAGENET1K_V1
    tensors = random_net("squeezenet1_1").state_dict()
    torch.save(tensors, tmp_path / "a.pth")
    digest = hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()[:8]
    monkeypatch.setattr(weights.value, "url", f"https://nowhere.invalid/squeezenet1_1-{digest}.pth")
    (tmp_path / "a.pth").rename(tmp_path / f"squeezenet1_1-{digest}.pth")
    return tmp_path / f"squeezenet1_1-{digest}.pth", tensors


def test_a_torch_file_is_known_by_its_file_name(tmp_path, known):
    path, tensors = known
    network = import_weights(path, tmp_path / "b.safetensors")
    assert network.name == "squeezenet1_1" and network.statistics == TORCHVISION_STATISTICS
    assert same(load_file(tmp_path / "b.safetensors"), tensors)
    assert read_card(tmp_path / "b.safetensors").training["imported"]["file"] == path.name


def test_a_known_file_name_with_another_digest_is_refused(tmp_path, known):
    path, _ = known
    torch.save(random_net("squeezenet1_0").state_dict(), path)
    wanted = "its SHA-256 starts with .{8}, and squeezenet1_1@torchvision has .*--net squeezenet1_1"
    with pytest.raises(WeightsError, match=wanted):
        import_weights(path, tmp_path / "b.safetensors")
    assert not (tmp_path / "b.safetensors").exists()


def test_an_unknown_torch_file_needs_its_net_named(tmp_path):
    torch.save(random_net("squeezenet1_0").state_dict(), tmp_path / "a.pth")
    with pytest.raises(WeightsError, match="does not say which net it belongs to.*--net"):
        import_weights(tmp_path / "a.pth", tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match="a.pth: does not fit the net: "):
        import_weights(tmp_path / "a.pth", tmp_path / "b.safetensors", net=NetSpec("squeezenet1_1"))
    stated = "squeezenet1_0:mean=1/2/3,std=4/5/6"
    network = import_weights(
        tmp_path / "a.pth", tmp_path / "b.safetensors", net=NetSpec.parse(stated)
    )
    assert (network.statistics.mean, network.statistics.std) == ((1, 2, 3), (4, 5, 6))


def test_convolutions_alone_are_imported_as_what_they_are(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 8, 16, 32, 32))
    monkeypatch.setattr(vgg, "FC_UNITS", 256)
    tensors = dict(vgg.build("vgg16").state_dict())
    for key, tensor in tensors.items():
        tensor.fill_(torch.nan) if key.startswith("classifier") else tensor.normal_()
    torch.save(tensors, tmp_path / "a.pth")
    digest = hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()[:8]
    path = (tmp_path / "a.pth").rename(tmp_path / f"vgg16_features-{digest}.pth")
    weights = models.VGG16_Weights.IMAGENET1K_FEATURES
    monkeypatch.setattr(weights.value, "url", f"https://nowhere.invalid/{path.name}")
    network = import_weights(path, tmp_path / "b.safetensors")
    assert network.backbone.layer == "pool5"
    network.net()
    assert network.statistics.mean == pytest.approx((123, 117, 104), abs=0.01)
    alone = load_network(str(tmp_path / "b.safetensors"))
    with pytest.raises(WeightsError, match="b.safetensors: has no classifier: .*layer=pool5"):
        alone.net()


def test_the_authors_own_file_is_known_as_such(tmp_path, monkeypatch):
    """By its name and its digest, which published rows are compared by."""
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 8, 16, 32, 32))
    monkeypatch.setattr(vgg, "FC_UNITS", 256)
    entry = released.released("vgg16", "caffe")
    path = tmp_path / entry.sources[0].name
    card = Card(net="vgg16", classes=(), mean=PAPER_STATISTICS.mean, std=(1, 1, 1), training={})
    formats.write(path, vgg.build("vgg16").state_dict(), card)
    (tmp_path / f"{path.name}.card.json").unlink()
    assert not load_network(str(path)).original  # it has the name alone
    sha1 = hashlib.sha1(path.read_bytes()).hexdigest()
    source = Source(entry.sources[0].url, "sha1", sha1)
    monkeypatch.setattr(released, "ORIGINALS", (replace(entry, sources=(source,)),))
    network = import_weights(path, tmp_path / "b.safetensors")
    assert network.original == "released Caffe model"
    assert network.name == "vgg16:ceil_mode=true"
    export_weights(network, tmp_path / "c.mat")
    assert load_network(str(tmp_path / "c.mat")).original == "released Caffe model"
    for number, source in enumerate((path, tmp_path / "b.safetensors")):
        other = load_network(f"{source}:mean=1/2/3")
        export_weights(other, tmp_path / f"{number}.safetensors")
        assert not load_network(str(tmp_path / f"{number}.safetensors")).original


def test_the_port_for_torch_is_imported_for_r_g_b(tmp_path, monkeypatch):
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 8, 16, 32, 32))
    monkeypatch.setattr(vgg, "FC_UNITS", 256)
    tensors = dict(vgg.build("vgg16").state_dict())
    first = tensors["features.0.weight"]
    torch.save(tensors | {"features.0.weight": first[:, [2, 1, 0]]}, tmp_path / "a.pth")
    entry = released.released("vgg16", "caffe-pth")
    digest = hashlib.sha256((tmp_path / "a.pth").read_bytes()).hexdigest()[:8]
    source = Source(f"https://nowhere.invalid/vgg16-{digest}.pth", "sha256", digest)
    monkeypatch.setattr(released, "ORIGINALS", (replace(entry, sources=(source,)),))
    path = (tmp_path / "a.pth").rename(tmp_path / source.name)
    network = import_weights(path, tmp_path / "b.safetensors")
    assert same(load_file(tmp_path / "b.safetensors"), tensors)
    assert network.statistics == PAPER_STATISTICS and network.name == "vgg16:ceil_mode=true"
    assert network.original == "released Caffe model"


@pytest.fixture
def model(tmp_path):
    make_file(tmp_path / "a.safetensors")
    export_weights(load_network(str(tmp_path / "a.safetensors")), tmp_path / "m.caffemodel")
    return tmp_path / "m.caffemodel"


def test_a_prototxt_is_compared(tmp_path, model):
    out, prototxt = tmp_path / "b.safetensors", model.with_suffix(".prototxt")
    fits = prototxt.read_text()
    prototxt.write_text(fits.replace("num_output: 4\n", "num_output: 5\n"))
    with pytest.raises(WeightsError, match="m.prototxt: .*num_output is .*5, and m.caffemodel has"):
        import_weights(model, out, prototxt=prototxt)
    assert not out.exists()
    prototxt.write_text(fits)
    assert import_weights(model, out, prototxt=prototxt).name == NET


def test_a_prototxt_is_for_caffe_alone(tmp_path, model):
    prototxt = model.with_suffix(".prototxt")
    with pytest.raises(
        WeightsError, match="a.safetensors: a .prototxt describes .caffemodel files"
    ):
        import_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors", prototxt=prototxt)
    with pytest.raises(WeightsError, match="gone.prototxt: no such prototxt"):
        import_weights(model, tmp_path / "b.safetensors", prototxt=tmp_path / "gone.prototxt")


@pytest.mark.parametrize(
    "net, suffix",
    [("squeezenet1_0", ".caffemodel"), ("squeezenet1_0", ".mat"), ("resnet18", ".mat")],
)
def test_nets_that_are_not_of_the_family_do_not_go_out(tmp_path, suffix, net, monkeypatch):
    monkeypatch.setattr("vggfeat.backbones.load.initialise", lambda *_, **__: None)  # slow
    with pytest.raises(WeightsError, match=f"b{suffix}: .*{net}.*Known: vgg11, vgg11_lrn") as error:
        export_weights(load_network(f"{net}@random:0"), tmp_path / f"b{suffix}")
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", [".caffemodel", ".mat"])
def test_pictures_that_are_divided_do_not_go_out(tmp_path, suffix):
    """A user of Caffe or MatConvNet would not know of it and get other scores."""
    make_file(tmp_path / "a.safetensors", std=(58.0, 57.0, 57.0))
    with pytest.raises(WeightsError, match=f"b{suffix}: cannot be written for .*divided by"):
        export_weights(load_network(str(tmp_path / "a.safetensors")), tmp_path / f"b{suffix}")
    assert names_in(tmp_path) == {"a.safetensors"}


@pytest.mark.parametrize("name", ["b.safetensors", "b.caffemodel", "b.prototxt", "b.mat", "b.pth",
                                  "b.pth.card.json", "b.caffemodel.card.json"])  # fmt: skip
def test_nothing_of_the_users_is_written_over(tmp_path, name):
    make_file(tmp_path / "a.safetensors")
    (tmp_path / name).write_text("the user's")
    suffix = ".caffemodel" if "prototxt" in name else f".{name.split('.')[1]}"
    with pytest.raises(WeightsError, match=f"{name}: is there already"):
        export_weights(load_network(str(tmp_path / "a.safetensors")), tmp_path / f"b{suffix}")
    assert (tmp_path / name).read_text() == "the user's"
    assert names_in(tmp_path) == {"a.safetensors", name}


def test_an_import_does_not_write_over(tmp_path, model):
    with pytest.raises(WeightsError, match="a.safetensors: is there already"):
        import_weights(model, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="x.pth: the native format is .safetensors"):
        import_weights(model, tmp_path / "x.pth")
    with pytest.raises(WeightsError, match="gone.mat: no such weights file"):  # before the other
        import_weights(tmp_path / "gone.mat", tmp_path / "a.safetensors")


@pytest.mark.parametrize("suffix", [".caffemodel", ".pth"])
def test_an_interrupted_export_leaves_nothing(tmp_path, model, suffix, monkeypatch):
    """Least of all weights without their card, whose statistics would be the format's."""

    def interrupt(_):
        raise KeyboardInterrupt

    network = load_network(str(model))
    monkeypatch.setattr(formats, "sha256_of", interrupt)
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt):
        export_weights(network, tmp_path / f"out{suffix}")
    assert sorted(tmp_path.iterdir()) == before


def test_a_folder_that_is_none_cannot_be_written_to(tmp_path):
    make_file(tmp_path / "a.safetensors")
    for suffix in SUFFIXES:
        with pytest.raises(OSError):
            network = load_network(str(tmp_path / "a.safetensors"))
            export_weights(network, tmp_path / "a.safetensors" / f"b{suffix}")


def spoil(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path, read_card(path).metadata())


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda t: t["classifier.3.weight"][0].fill_(torch.nan), "'classifier.3.weight' holds"),
        (lambda t: t["features.0.bias"][0].fill_(torch.inf), "'features.0.bias' holds values"),
        (lambda t: t.pop("features.3.bias"), "key 'features.3.bias' is missing"),
        (lambda t: t.update(more=torch.ones(1)), "key 'more' is not part of the net"),
        (lambda t: t.update({"features.0.bias": torch.ones(7)}), "has shape 7, the net needs 4"),
    ],
)
def test_weights_that_do_not_fit_go_nowhere(tmp_path, change, message):
    make_file(tmp_path / "a.safetensors")
    spoil(tmp_path / "a.safetensors", change)
    with pytest.raises(WeightsError, match=f"a.safetensors: does not fit the net: .*{message}"):
        import_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors")
    for suffix in SUFFIXES:
        with pytest.raises(WeightsError, match=message):
            network = load_network(str(tmp_path / "a.safetensors"))
            export_weights(network, tmp_path / f"b{suffix}")
    assert names_in(tmp_path) == {"a.safetensors"}


@pytest.mark.parametrize("suffix", [".caffemodel", ".mat"])
def test_values_that_are_not_finite_are_refused_in_every_format(tmp_path, suffix):
    tensors = make_file(tmp_path / "a.safetensors")
    tensors["features.0.weight"][0, 0, 0, 0] = torch.nan
    card = read_card(tmp_path / "a.safetensors")
    formats.write(tmp_path / f"b{suffix}", tensors, card)
    with pytest.raises(WeightsError, match=f"b{suffix}: .*'features.0.weight' holds values that"):
        import_weights(tmp_path / f"b{suffix}", tmp_path / "c.safetensors")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_of_another_net_than_named_is_refused(tmp_path, suffix):
    make_file(tmp_path / "a.safetensors")
    export_weights(load_network(str(tmp_path / "a.safetensors")), tmp_path / f"b{suffix}")
    for net in ("vgg13:width=0.0625,input_size=32", "vgg11", "resnet18"):
        with pytest.raises(WeightsError, match=f"b{suffix}: holds weights of {NET}"):
            import_weights(
                tmp_path / f"b{suffix}", tmp_path / "c.safetensors", net=net and NetSpec.parse(net)
            )


@pytest.mark.parametrize("name", ["a+b.caffemodel", "a b.caffemodel", "vgg11@x.caffemodel",
                                  "ä:width=2.caffemodel", "a.b.c.caffemodel"])  # fmt: skip
def test_odd_file_names_and_links_are_no_obstacle(tmp_path, model, name):
    shutil.copy(model, tmp_path / name)
    (tmp_path / "link.caffemodel").symlink_to(tmp_path / name)
    import_weights(tmp_path / name, tmp_path / f"{name}.safetensors")
    import_weights(tmp_path / "link.caffemodel", tmp_path / "link.safetensors")
    tensors = load_file(tmp_path / "a.safetensors")
    assert same(load_file(tmp_path / f"{name}.safetensors"), tensors)
    assert same(load_file(tmp_path / "link.safetensors"), tensors)


def test_an_unknown_format_is_told_with_the_known_ones(tmp_path):
    for name in ("a.h5", "a", "a.PTH"):
        with pytest.raises(WeightsError, match="unknown format .*Known: .safetensors, .pth, .pt"):
            export_weights(load_network(f"{NET}@random:0"), tmp_path / name)


def test_a_card_that_names_no_net_is_refused(tmp_path):
    make_file(tmp_path / "a.safetensors")
    values = read_card(tmp_path / "a.safetensors").to_json() | {"net": "vgg99"}
    tensors = load_file(tmp_path / "a.safetensors")
    save_file(tensors, tmp_path / "b.safetensors", {"vggfeat": json.dumps(values)})
    with pytest.raises(VggfeatError, match="Unknown network 'vgg99'"):
        import_weights(tmp_path / "b.safetensors", tmp_path / "c.safetensors")
