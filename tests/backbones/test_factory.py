"""The user's own nets: a function of theirs, and what is told if something is wrong with it."""

import hashlib
import subprocess
import sys

import pytest
import torch
from helpers.foreign_nets import saved
from safetensors.torch import save_file
from torch import nn

from vggfeat.backbones.check import check_net
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import parse_fusion
from vggfeat.errors import NetworkError, OptionError, UnknownNameError, WeightsError
from vggfeat.input_statistics import TORCHVISION_STATISTICS, InputStatistics

HEAD = "import torch\nfrom torch import nn\n\n"
# Pictures of any size; `vector`, `tokens` and `maps` differ in what the net gives.
NETS = (
    HEAD
    + """
class Net(nn.Module):
    def __init__(self, kind, bias=0.0):
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 4, stride=4)
        nn.init.constant_(self.conv.weight, 0.01)
        nn.init.constant_(self.conv.bias, bias)
        self.drop = nn.Dropout()
        self.kind = kind

    def forward(self, images):
        maps = self.drop(self.conv(images))
        return {
            "maps": lambda: maps,
            "vector": lambda: maps.mean(dim=(2, 3)),
            "tokens": lambda: maps.flatten(2).transpose(1, 2),
            "pair": lambda: (maps, maps),
            "video": lambda: maps[:, :, None],
            "scalar": lambda: maps.mean(),
            "complex": lambda: torch.fft.fft(maps.mean(dim=(2, 3))),
        }[self.kind]()

def maps(): return Net("maps")
def vector(): return Net("vector")
def tokens(): return Net("tokens")
def pair(): return Net("pair")
def video(): return Net("video")
def scalar(): return Net("scalar")
def complex(): return Net("complex")
def biased(): return Net("maps", bias=1.0)
def drawn(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
def fails(): raise RuntimeError("no such disk")
def no_module(): return 7
def nothing(): pass
def wants(argument): return Net("maps")
def misspelt(): return nn.Conv3(3, 4, 3)
not_a_function = 5
"""
)
FIXED = HEAD + "def net(): return nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 8))\n"


@pytest.fixture
def mine(tmp_path, monkeypatch, request):
    """The name of a module of the user's in the current folder, of this test alone."""
    digest = hashlib.sha256(request.node.nodeid.encode()).hexdigest()[:12]
    name = f"mine_{digest}"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    (tmp_path / f"{name}.py").write_text(NETS)
    yield name
    for module in [module for module in sys.modules if module.startswith(name)]:
        del sys.modules[module]


@pytest.mark.parametrize("kind", ["maps", "vector", "tokens"])
def test_what_the_net_gives_is_the_descriptor(mine, kind):
    network = load_network(f"{mine}:{kind}")
    assert (network.backbone.layer, network.backbone.dim) == ("output", 5)
    images = torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = network.module(images)
        # Every channel: 0.01 of the sum over a window of 4x4 and the colours.
        sums = 0.01 * images.sum(1).unfold(1, 4, 4).unfold(2, 4, 4).sum(dim=(3, 4))
    expected = {
        "maps": sums[:, None],
        "vector": sums.mean(dim=(1, 2))[:, None, None, None],
        "tokens": sums.flatten(1)[:, None, :, None],
    }[kind]
    torch.testing.assert_close(found, expected.expand(2, 5, *expected.shape[2:]))
    assert network.backbone.view == "dense" and network.statistics == TORCHVISION_STATISTICS


def test_maps_of_scores_stay_maps(mine):
    network = load_network(f"{mine}:maps")
    images = torch.zeros(2, 3, 16, 24)
    assert network.output_map(images).shape == (2, 5, 4, 6)
    assert load_network(f"{mine}:vector").output_map(images).shape == (2, 5, 1, 1)
    assert network.num_outputs == 5


@pytest.mark.parametrize(
    "kind, gives",
    [
        ("pair", "no single tensor"),
        ("complex", "no single tensor of real numbers"),  # half of it would be lost in silence
        ("video", "a tensor 1x5x1x56x56 an image"),
        ("scalar", "a tensor without axes"),
    ],
)
def test_outputs_that_are_no_descriptor_are_refused_unless_a_layer_is_named(mine, kind, gives):
    with pytest.raises(NetworkError, match=f"layer 'output' gives {gives}"):
        load_network(f"{mine}:{kind}")
    assert load_network(f"{mine}:{kind}:layer=conv").backbone.dim == 5


@pytest.mark.parametrize(
    "function, message",
    [
        ("fails", "failed: RuntimeError: no such disk"),
        ("no_module", "returns a int, not a torch module"),
        ("nothing", "returns a NoneType, not a torch module"),
        ("gone", "module 'mine_.*' has no attribute 'gone'"),
        ("wants", "failed: TypeError: wants.. missing 1 required positional argument"),
        ("misspelt", "module 'torch.nn' has no attribute 'Conv3'"),
        ("not_a_function", "failed: TypeError: 'int' object is not callable"),
    ],
)
def test_what_is_wrong_with_a_function_is_told_as_it_is(mine, function, message):
    with pytest.raises(NetworkError, match=f"{mine}:{function}: {message}"):
        load_network(f"{mine}:{function}")


@pytest.mark.parametrize(
    "content, message",
    [
        ("import no_such_library_7\n", "no module 'no_such_library_7', neither installed nor"),
        ("from torch import no_such_name\n", "failed: ImportError: cannot import name"),
        ("def net(:\n", "failed: SyntaxError"),
        ("1 / 0\n", "failed: ZeroDivisionError"),
        ("raise SystemExit(4)\n", "failed: SystemExit: 4"),
    ],
)
def test_what_is_wrong_with_the_users_module_is_not_laid_to_its_name(
    mine, tmp_path, content, message
):
    (tmp_path / f"{mine}_bad.py").write_text(content)
    with pytest.raises(NetworkError, match=f"{mine}_bad:net: .*{message}"):
        load_network(f"{mine}_bad:net")


def test_a_module_that_is_not_there_is_named(mine):
    with pytest.raises(NetworkError, match="there is no module 'no_such_package_7'"):
        load_network("no_such_package_7.nets:net")


def test_a_package_in_the_current_folder(mine, tmp_path):
    (tmp_path / f"{mine}_package").mkdir()
    (tmp_path / f"{mine}_package" / "nets.py").write_text(NETS)
    name = f"{mine}_package.nets:maps"
    network = load_network(name)
    assert (network.name, network.weights, network.label) == (name, "own", f"{name}@own")


def test_own_weights_are_told_apart_by_their_values(mine):
    plain, again, biased = (
        load_network(f"{mine}:{function}") for function in ("maps", "maps", "biased")
    )
    assert len(plain.weights_sha256) == 64
    assert plain.weights_identity == again.weights_identity != biased.weights_identity
    assert plain.identity == again.identity


def test_a_net_that_draws_its_weights_is_one_net(mine):
    """Otherwise its digest would be that of another net than the one that is measured."""
    torch.manual_seed(7)
    before = torch.get_rng_state()
    network = load_network(f"{mine}:drawn")
    images = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        found = network.module(images)
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(8)
        again = load_network(f"{mine}:drawn")
        assert again.weights_sha256 == network.weights_sha256
        assert torch.equal(again.module(images), found)


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_file_replaces_a_nets_weights(mine, tmp_path, suffix):
    net = nn.Module()
    net.conv = nn.Conv2d(3, 5, 4, stride=4)
    file = tmp_path / f"w.{suffix}"
    save_file(net.state_dict(), file) if suffix == "safetensors" else saved(net, file)
    network = load_network(f"{mine}:maps@{file}")
    images = torch.rand(1, 3, 8, 12)
    with torch.inference_mode():
        torch.testing.assert_close(network.module(images), net.conv(images))
    assert network.weights == file.name
    assert network.weights_sha256 == hashlib.sha256(file.read_bytes()).hexdigest()


def test_a_file_that_does_not_fit_is_refused(mine, tmp_path):
    file = saved(nn.Linear(2, 2), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match="does not fit the net: key 'conv.weight' is missing"):
        load_network(f"{mine}:maps@{file}").net()


def test_the_net_is_tested_and_not_trained(mine):
    network = load_network(f"{mine}:maps")
    images = torch.rand(1, 3, 16, 16)
    with torch.inference_mode():
        assert torch.equal(network.module(images), network.module(images))  # no dropout


def test_random_weights_of_a_net_of_ones_own_are_refused(mine):
    with pytest.raises(OptionError, match="comes with its weights, or takes a file"):
        load_network(f"{mine}:maps@random:0")


def test_a_layer_is_found_by_its_name(mine):
    with pytest.raises(UnknownNameError, match=f"layer of {mine}:maps 'cnv'. Did you mean 'conv'"):
        load_network(f"{mine}:maps:layer=cnv")
    assert load_network(f"{mine}:maps:layer=conv").backbone.layer == "conv"


def test_checking_a_specification_does_not_run_the_users_code(mine, tmp_path):
    (tmp_path / f"{mine}_run.py").write_text("def net(): ...\n")
    for spec in parse_fusion(f"{mine}_run:net:input_size=32+vgg16@random:0"):
        check_net(spec)
    assert f"{mine}_run" not in sys.modules
    with pytest.raises(NetworkError):
        load_network(f"{mine}_run:net:input_size=32")
    assert f"{mine}_run" in sys.modules


@pytest.mark.parametrize("options", ["", ":input_size=16"])
def test_a_net_of_one_size(mine, tmp_path, options):
    (tmp_path / f"{mine}_fixed.py").write_text(FIXED)
    if not options:
        with pytest.raises(NetworkError, match="cannot take a picture of 224x224.*input_size"):
            load_network(f"{mine}_fixed:net")
        return
    backbone = load_network(f"{mine}_fixed:net{options}").backbone
    assert (backbone.view, backbone.min_size, backbone.any_size) == ("centre", 16, False)
    assert backbone.layer == "output, centre crop of 16"
    with pytest.raises(NetworkError, match="there is no dense view of it"):
        load_network(f"{mine}_fixed:net{options},view=dense")
    with pytest.raises(OptionError, match="input_size must be at least 1; got 0"):
        load_network(f"{mine}_fixed:net:input_size=0")


def test_statistics_are_what_the_user_states(mine):
    network = load_network(f"{mine}:maps:mean=127.5/127.5/127.5,std=127.5/127.5/127.5")
    assert network.statistics == InputStatistics((127.5,) * 3, (127.5,) * 3)
    half = load_network(f"{mine}:maps:std=1/2/3")
    assert half.statistics == InputStatistics(TORCHVISION_STATISTICS.mean, (1.0, 2.0, 3.0))
    # What is not the net's own is part of its name.
    assert half.name == f"{mine}:maps:std=1/2/3"
    assert network.name == f"{mine}:maps:mean=127.5/127.5/127.5,std=127.5/127.5/127.5"
    assert half.identity != network.identity


@pytest.mark.parametrize(
    "option, message",
    [
        ("mean=1/2", "mean='1/2' is not a valid value"),
        ("mean=1/2/3/4", "is not a valid value"),
        ("mean=a/b/c", "is not a valid value"),
        ("mean=nan/1/1", "is not a valid value"),
        ("std=inf/1/1", "is not a valid value"),
        ("std=0/1/1", "std must be above 0 for each channel"),
        ("std=1/-1/1", "std must be above 0 for each channel"),
        ("mean=", "is not a valid value"),
    ],
)
@pytest.mark.parametrize("net", ["vgg11:width=0.0625,input_size=32,{}@random:0"])
def test_statistics_that_make_no_sense_are_refused(net, option, message):
    with pytest.raises(OptionError, match=message):
        load_network(net.format(option))


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["", "@w.safetensors"])
def test_the_same_weights_in_other_code_are_another_net(tmp_path, weights):
    """In a process of its own, as Python imports a module once."""
    save_file(nn.Sequential(nn.Conv2d(3, 4, 3)).state_dict(), tmp_path / "w.safetensors")
    code = (
        "from vggfeat.backbones.load import load_network;"
        f"print(load_network('rewritten:net{weights}').weights_identity)"
    )
    found = []
    for last in ("ReLU", "ReLU", "Sigmoid"):
        source = f"def net(): return nn.Sequential(nn.Conv2d(3, 4, 3), nn.{last}())"
        (tmp_path / "rewritten.py").write_text(HEAD + source)
        run = subprocess.run(
            [sys.executable, "-B", "-c", code], cwd=tmp_path, capture_output=True, text=True
        )
        found.append(run.stdout)
    assert found[0] == found[1] != found[2]
    assert all(identity.startswith("sha256:") for identity in found)
