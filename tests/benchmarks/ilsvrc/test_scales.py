"""Which scales a net is tested at: the paper's for its S, or a user's."""

import pytest
from helpers.net_files import write_net

from vggfeat.backbones.load import load_network
from vggfeat.benchmarks.ilsvrc.scales import as_text, scales_of, training_scale, used_together
from vggfeat.errors import OptionError


@pytest.fixture
def net(tmp_path):
    """A net whose card says S; its input is of another size than the paper's only if asked."""

    def net(*scales, input_size=224, **rest):
        training = {"recipe": {"scales": list(scales)}} if scales else {}
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        return load_network(str(write_net(path, input_size=input_size, training=training, **rest)))

    return net


@pytest.mark.parametrize(
    "s, single, multi",
    [
        ((256, 256), 256, (224, 256, 288)),
        ((384, 384), 384, (352, 384, 416)),
        ((256, 512), 384, (256, 384, 512)),
    ],
)
def test_the_papers_scales_for_each_of_its_training_scales(net, s, single, multi):
    """Sect. 4.1 and 4.2."""
    assert scales_of("single", [net(*s)]) == [(single,)]
    assert scales_of("multi", [net(*s)]) == [multi]


def test_each_net_of_a_fusion_has_the_scales_of_its_own_training(net):
    nets = [net(256, 256), net(256, 512)]
    assert scales_of("single", nets) == [(256,), (384,)]
    assert scales_of("multi", nets) == [(224, 256, 288), (256, 384, 512)]


def test_a_list_is_for_all_nets_or_for_each_in_turn(net):
    nets = [net(256, 256), net(384, 384)]
    assert scales_of("256,384,512", nets) == [(256, 384, 512)] * 2
    assert scales_of("256+352,384", nets) == [(256,), (352, 384)]
    assert scales_of("512,256", nets[:1]) == [(256, 512)]


def test_nets_used_together_have_an_order_of_their_own(net):
    first, second = net(256, 256), net(384, 384)
    assert used_together("256+384", [first, second]) == used_together("384+256", [second, first])


def test_a_net_is_not_used_with_itself(net):
    one = net(256, 256)
    assert used_together("256+384", [one, one])[1] == ((256,), (384,))
    with pytest.raises(OptionError, match="at scales 256 is used with itself. Name other weights"):
        used_together("256", [one, one])


@pytest.mark.parametrize(
    "text, message",
    [
        ("big", "single, multi, or whole numbers such as 256,384,512; got 'big'"),
        ("", "got ''"),
        ("256,", "got '256,'"),
        ("256;384", "got '256;384'"),
        ("256.5", "got '256.5'"),
        ("256+", r"got '256\+'"),
        ("single+multi", r"got 'single\+multi'"),
        ("256+384+512", r"'256\+384\+512' are for 3 nets, and 2 are used together. Give one list"),
    ],
)
def test_what_are_no_scales_is_refused_with_what_is_allowed(net, text, message):
    with pytest.raises(OptionError, match=message):
        scales_of(text, [net(256, 256), net(384, 384)])


def test_a_net_without_a_card_is_taken_for_one_of_256(net):
    bare = load_network("vgg11:width=0.0625@random:0")
    assert training_scale(bare) is None and as_text(None) is None
    assert scales_of("single", [bare]) == [(256,)]
    assert scales_of("multi", [bare]) == [(224, 256, 288)]


def test_smaller_nets_have_the_steps_in_proportion(net):
    """256 and 32 of 224 pixels are 73 and 9 of 64."""
    bare = load_network("vgg11:width=0.0625,input_size=64@random:0")
    assert scales_of("single", [bare]) == [(73,)]
    assert scales_of("multi", [bare]) == [(64, 73, 82)]
    assert scales_of("multi", [net(96, 96, input_size=64)]) == [(87, 96, 105)]
    assert scales_of("multi", [net(70, 91, input_size=64)]) == [(70, 80, 91)]


def test_no_scale_is_below_the_input_size_and_none_is_counted_twice(net):
    assert scales_of("multi", [net(70, 70, input_size=64)]) == [(64, 70, 79)]
    assert scales_of("multi", [net(64, 64, input_size=64)]) == [(64, 73)]


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"recipe": None},
        {"recipe": "vgg11-256"},
        {"recipe": {"scales": 256}},
        {"recipe": {"scales": ["256", "512"]}},
        {"recipe": {"scales": [True, True]}},
        {"recipe": {"scales": [256]}},
    ],
)
def test_a_card_that_does_not_say_its_scale_leaves_it_unknown(tmp_path, training):
    path = write_net(tmp_path / "net.safetensors", training=training)
    assert training_scale(load_network(str(path))) is None


def test_a_training_scale_as_tables_have_it():
    assert as_text((256, 256)) == "256" and as_text((256, 512)) == "256-512"
