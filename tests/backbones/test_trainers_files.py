"""Checkpoints as trainers write them: the net in them is found, and what was done is said."""

import argparse
import logging
from functools import cache

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torchvision import models

from vggfeat import vgg
from vggfeat.backbones.backbone import FirstMap
from vggfeat.backbones.convert import import_weights
from vggfeat.backbones.load import load_network
from vggfeat.backbones.network import sharing_forward
from vggfeat.backbones.spec import NetSpec
from vggfeat.errors import OptionError, WeightsError

NET = "shufflenet_v2_x0_5"  # 5 MB, with batch normalisation
HEAD = ("fc.weight", "fc.bias")


@cache
def weights(seed=0):
    torch.manual_seed(seed)
    net = models.shufflenet_v2_x0_5()
    return {key: tensor for key, tensor in net.state_dict().items()}


def body(seed=0):
    return {key: tensor for key, tensor in weights(seed).items() if key not in HEAD}


def under(prefix, tensors):
    return {prefix + key: tensor for key, tensor in tensors.items()}


def descriptor(network):
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        return network.module(images)


@cache
def expected(seed=0):
    net = models.shufflenet_v2_x0_5()
    net.load_state_dict(weights(seed))
    net.fc = torch.nn.Identity()
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    with torch.inference_mode():
        return net.eval()(images)[:, :, None, None]


def check(path, *, net=NET, seed=0):
    network = load_network(f"{net}@{path}")
    assert torch.equal(descriptor(network), expected(seed))
    return network


OPTIMIZER = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
ARGS = argparse.Namespace(arch="x", lr=0.1)
WRAPPED = {
    "pytorch's examples": ("w.pth.tar", lambda t: {
        "epoch": 3, "state_dict": under("module.", t), "best_acc1": torch.tensor(57.2),
        "optimizer": OPTIMIZER}),
    "torchvision's references": ("model_89.pth", lambda t: {
        "model": t, "optimizer": OPTIMIZER, "args": ARGS}),
    "timm's": ("last.pth.tar", lambda t: {"state_dict": t, "args": ARGS, "metric": 70.1}),
    "pytorch's tutorial": ("w.pt", lambda t: {"model_state_dict": t, "loss": 0.4}),
    "a numpy metric": ("w.pth", lambda t: {"state_dict": t, "acc": np.float64(71.2)}),
    "pytorch-cifar's": ("ckpt.t7", lambda t: {"net": under("module.", t), "acc": 95.1}),
    "Lightning's": ("epoch=1-step=10.ckpt", lambda t: {
        "state_dict": under("model.", t), "callbacks": {}, "hyper_parameters": {"lr": 0.1}}),
    "Lightning's with a loss": ("w.ckpt", lambda t: {
        "state_dict": under("model.backbone.", t) | {"criterion.weight": torch.ones(9)}}),
    "compiled": ("w.pth", lambda t: under("_orig_mod.", t)),
    "compiled in parallel": ("w.pth", lambda t: under("module._orig_mod.", t)),
    "parallel twice": ("w.pth", lambda t: under("module.module.", t)),
    "Hugging Face's": ("pytorch_model.bin", lambda t: t),
    "upper case": ("W.PTH", lambda t: t),
    "averaged by torch": ("w.pth", lambda t: {
        "n_averaged": torch.tensor(7), **under("module.", t)}),
    "with counts of operations": ("w.pth", lambda t: t | {
        "total_ops": torch.zeros(1), "conv1.0.total_ops": torch.zeros(1)}),
    "a teacher alone": ("w.pth", lambda t: {"teacher": under("backbone.", t), "epoch": 1}),
    "two levels": ("w.pth", lambda t: {"checkpoint": {"net": {"weights": t}}}),
}  # fmt: skip


@pytest.mark.parametrize("trainer", WRAPPED)
def test_a_checkpoint_gives_the_nets_own_descriptors(tmp_path, trainer):
    name, wrap = WRAPPED[trainer]
    torch.save(wrap(weights()), tmp_path / name)
    assert check(tmp_path / name).num_outputs == 1000


def test_safetensors_with_a_prefix_and_an_upper_case_suffix(tmp_path):
    save_file(under("backbone.", weights()), tmp_path / "W.SafeTensors")
    check(tmp_path / "W.SafeTensors")


HEADLESS = {
    "no last layer": lambda t: t,
    "wrapped": lambda t: {"state_dict": under("backbone.", t), "meta": {"epoch": 1}},
    "SwAV's": lambda t: under("module.", t | {
        "projection_head.0.weight": torch.ones(8, 8), "prototypes.weight": torch.ones(9, 8)}),
    "MoCo's projection": lambda t: t | {
        "fc.0.weight": torch.ones(8, 8), "fc.2.weight": torch.ones(8, 8)},
    "an empty one": lambda t: t | {"fc.weight": torch.zeros(0, 1024), "fc.bias": torch.zeros(0)},
    "no bias": lambda t: t | {"fc.weight": torch.zeros(9, 1024)},
    "another's": lambda t: t | {"fc.weight": torch.zeros(9, 8), "fc.bias": torch.zeros(9)},
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADLESS)
def test_a_backbone_without_its_last_layer_gives_descriptors_and_no_scores(tmp_path, kind):
    torch.save(HEADLESS[kind](body()), tmp_path / "w.pth")
    network = check(tmp_path / "w.pth")
    assert network.num_outputs == 0 and network.classes == ()
    with pytest.raises(WeightsError, match="w.pth: has no 'fc.weight': no scores"):
        network.output_map  # noqa: B018
    with pytest.raises(WeightsError, match="does not fit the net: .*'fc"):
        load_network(f"{NET}:layer=fc@{tmp_path / 'w.pth'}").net()


def test_only_what_the_layer_needs_has_to_be_there(tmp_path):
    tensors = {key: t for key, t in weights().items() if key.startswith(("conv1", "stage2"))}
    torch.save(tensors, tmp_path / "w.pth")
    network = load_network(f"{NET}:layer=stage2@{tmp_path / 'w.pth'}")
    net = models.shufflenet_v2_x0_5()
    net.load_state_dict(weights())
    images = torch.linspace(-1, 1, 3 * 64 * 64).reshape(1, 3, 64, 64)
    net.eval()
    with torch.inference_mode():
        assert torch.equal(network.module(images), net.stage2(net.maxpool(net.conv1(images))))
    with pytest.raises(WeightsError, match="does not fit the net: key 'stage3.0"):
        load_network(f"{NET}@{tmp_path / 'w.pth'}").net()


@pytest.mark.parametrize("layer, there", [("fc7", 15), ("fc6", 14), ("pool5", 13), ("conv1_2", 2)])
def test_a_net_of_the_paper_needs_its_layers_up_to_the_wanted_one(tmp_path, layer, there):
    net = vgg.build("vgg16", width=0.0625, input_size=32)
    vgg.initialise(net, "glorot", seed=0)
    pairs = list(net.state_dict().items())[: 2 * there]
    text = f"vgg16:width=0.0625,input_size=32,layer={layer}@{tmp_path / 'w.pth'}"
    torch.save(dict(pairs), tmp_path / "w.pth")
    whole = FirstMap(load_network(text).backbone.to_maps(net.eval(), [layer]))
    images = torch.linspace(-1, 1, 3 * 32 * 32).reshape(1, 3, 32, 32)
    with torch.inference_mode():
        assert torch.equal(load_network(text).module(images), whole(images))
    torch.save(dict(pairs[:-2]), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=r"w.pth: (does not fit|has no classifier)"):
        load_network(text).net()


TWO = {
    "MoCo's": (
        lambda a, b: {"state_dict": {
            **under("module.encoder_q.", a), **under("module.encoder_k.", b),
            "module.queue": torch.ones(8, 8), "module.queue_ptr": torch.zeros(1)}},
        "encoder_q", "encoder_k",
    ),
    "DINO's": (
        lambda a, b: {"student": under("module.backbone.", a), "teacher": under("backbone.", b)},
        "student", "teacher",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", TWO)
def test_of_two_nets_in_a_file_one_is_chosen_by_name(tmp_path, kind):
    wrap, first, second = TWO[kind]
    path = tmp_path / "w.pth.tar"
    torch.save(wrap(body(0), body(1)), path)
    with pytest.raises(WeightsError, match=rf"holds 2 nets that fit: part={first}.* part={second}"):
        load_network(f"{NET}@{path}").net()
    one = check(path, net=f"{NET}:part={first}", seed=0)
    other = check(path, net=f"{NET}:part={second}", seed=1)
    assert one.name == f"{NET}:part={first}" and one.identity != other.identity
    assert not sharing_forward(one, [other])
    with pytest.raises(WeightsError, match=rf"has no part 'third'.*part={first}"):
        load_network(f"{NET}:part=third@{path}").net()


AVERAGED = {
    "torchvision's": (lambda a, b: {"model": a, "model_ema": under("module.", b)}, "model_ema"),
    "timm's": (lambda a, b: {"state_dict": a, "state_dict_ema": b}, "state_dict_ema"),
    "of a wrapped net": (lambda a, b: {"net": a, "ema": b}, "ema"),
    "Lightning's": (
        lambda a, b: {"state_dict": under("model.", a) | under("ema_model.", b)}, "ema_model",
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", AVERAGED)
def test_a_moving_average_is_named_and_taken_only_where_it_is_chosen(tmp_path, kind, caplog):
    wrap, part = AVERAGED[kind]
    torch.save(wrap(weights(0), weights(1)), tmp_path / "w.pth")
    with caplog.at_level(logging.INFO, "vggfeat"):
        check(tmp_path / "w.pth", seed=0)
    assert f"a moving average): part={part} takes it" in caplog.text
    check(tmp_path / "w.pth", net=f"{NET}:part={part}", seed=1)


def test_what_was_done_to_a_file_is_said_in_one_line(tmp_path, caplog):
    path = tmp_path / "w.pth.tar"
    torch.save({"state_dict": under("module.", body()), "args": ARGS}, path)
    with caplog.at_level(logging.INFO, "vggfeat"):
        load_network(f"{NET}@{path}").net()
    (line,) = [record.getMessage() for record in caplog.records if "took" in record.getMessage()]
    assert line == (
        f"{path}: took the tensors of 'state_dict', without 'module.' before their names; left"
        " out: 'args (argparse.Namespace)'; not in it, and not needed for this layer: 'fc.weight',"
        " 'fc.bias'"
    )


def test_a_plain_file_needs_no_word(tmp_path, caplog):
    torch.save(weights(), tmp_path / "w.pth")
    with caplog.at_level(logging.INFO, "vggfeat"):
        load_network(f"{NET}@{tmp_path / 'w.pth'}").net()
    assert "took" not in caplog.text and "left out" not in caplog.text


def other_depth(tensors):
    """The keys of a net whose first stage has another block."""
    more = {k.replace("stage2.3", "stage2.4"): t for k, t in tensors.items() if "stage2.3" in k}
    return tensors | more


@pytest.mark.parametrize(
    "change, message",
    [
        (other_depth, "key 'stage2.4.* is not part of the net"),
        (lambda t: t | {"norm_pre.weight": torch.ones(3)}, "'norm_pre.weight' is not part of"),
        (lambda t: {k: v for k, v in t.items() if "stage3.1" not in k}, "'stage3.1.* is missing"),
        (lambda t: t | {"conv1.0.weight": torch.ones(24, 3, 5, 5)}, "'conv1.0.weight' has shape"),
        (lambda t: {"optimizer": {"lr": 1}}, "holds no table of named tensors"),
        (lambda t: {"a": {"b": torch.ones(1)}}, "does not fit the net"),
    ],
)
def test_another_nets_file_is_refused(tmp_path, change, message):
    """What fits but for more inside of the net's modules is another net."""
    torch.save(change(weights()), tmp_path / "w.pth")
    with pytest.raises(WeightsError, match=message):
        load_network(f"{NET}@{tmp_path / 'w.pth'}").net()


def test_a_part_is_of_a_file_of_weights():
    with pytest.raises(OptionError, match="part= is of a weights file"):
        load_network(f"{NET}:part=encoder_q@random:0")


def test_a_part_that_is_imported_is_the_net_of_its_file(tmp_path):
    path, out = tmp_path / "w.pth.tar", tmp_path / "out.safetensors"
    torch.save({"state_dict": weights(0), "state_dict_ema": weights(1)}, path)
    network = import_weights(path, out, net=NetSpec.parse(f"{NET}:part=state_dict_ema"))
    assert network.name == NET and torch.equal(descriptor(network), expected(1))
    assert network.card.training["imported"]["part"] == "state_dict_ema"
