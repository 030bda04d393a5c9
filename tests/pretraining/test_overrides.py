"""Nets, stages and fields that a user names -> recipes; nonsense is refused."""

import re

import pytest

from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.pretraining.overrides import overridden, select_recipes
from vggfeat.pretraining.recipes import recipe


def names(recipes):
    return [recipe.name for recipe in recipes]


def test_several_targets_share_what_they_start_from():
    assert names(select_recipes(["vgg16-256", "vgg19-256"], [], {})) == [
        "vgg11-256", "vgg16-256", "vgg19-256",
    ]  # fmt: skip
    assert names(select_recipes([], [], {}))[-1] == "vgg19-jitter"
    assert names(select_recipes([], ["vgg16-384"], {})) == ["vgg16-384"]


def test_overrides_are_read_by_the_fields_type():
    changed = overridden(
        recipe("vgg16-256"),
        {"width": "0.25", "epochs": "3", "init": "glorot", "mirror": "false", "start": "none",
         "scales": "224-300"},
        one_stage=True,
    )  # fmt: skip
    assert (changed.width, changed.epochs, changed.mirror, changed.start) == (0.25, 3, False, None)
    assert changed.scales == (224, 300) and changed.begins_with == "Glorot"


def test_another_input_size_scales_s_so_that_crops_show_the_same_share():
    changed = overridden(recipe("vgg16-jitter"), {"input_size": "64"}, one_stage=False)
    assert changed.scales == (73, 146)  # 256 and 512 times 64 / 224
    given = overridden(recipe("vgg16-256"), {"input_size": "64", "scales": "70"}, one_stage=True)
    assert given.scales == (70, 70)


@pytest.mark.parametrize(
    "options, message",
    [
        ({"epoch": "3"}, "Unknown field of a recipe 'epoch'. Did you mean 'epochs'"),
        ({"name": "x"}, "Unknown field of a recipe 'name'"),
        ({"epochs": "many"}, "epochs must be a whole number; got 'many'"),
        ({"epochs": "0"}, "epochs must be at least 1; got 0"),
        ({"learning_rate": "-1"}, "learning_rate must be above 0"),
        ({"learning_rate": "nan"}, "learning_rate must be above 0"),
        ({"dropout": "1"}, "dropout must be at least 0 and below 1"),
        ({"init": "he"}, "init must be 'normal' or 'glorot'"),
        ({"mirror": "perhaps"}, "mirror must be true or false"),
        ({"scales": "200"}, "scales must be S or SMIN-SMAX, from input_size 224"),
        ({"scales": "300-256"}, "to 2048; got 300-256"),
        ({"input_size": "100"}, "input_size must be a multiple of 32"),
        ({"width": "0"}, "width must be above 0"),
        ({"start": "vgg19-256"}, "start must be another stage of vgg16, one of vgg11, or none"),
        ({"start": "vgg16-256"}, "start must be another stage of vgg16"),
        ({"start": "vgg16"}, "vgg16 is a net; its stages are vgg16-256, vgg16-384, vgg16-jitter"),
        ({"learning_rate": "inf"}, "learning_rate must be above 0 and finite; got inf"),
        ({"start": "vgg99"}, "Unknown stage 'vgg99'"),
    ],
)
def test_an_override_that_makes_no_sense_is_refused(options, message):
    with pytest.raises((OptionError, UnknownNameError), match=re.escape(message)):
        overridden(recipe("vgg16-256"), options, one_stage=True)


def test_what_belongs_to_one_stage_is_not_set_for_a_chain():
    for field, value in (("scales", "256"), ("start", "none")):
        with pytest.raises(OptionError, match=f"{field} belongs to one stage: .*--stage"):
            select_recipes(["vgg16"], [], {field: value})
