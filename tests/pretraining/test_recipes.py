"""The recipes are the paper's, and lead from one to the next."""

import subprocess
import sys
from dataclasses import asdict

import pytest
from torch.utils.flop_counter import FlopCounterMode

from vggfeat import vgg
from vggfeat.errors import UnknownNameError
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import EXA_OPERATIONS, STAGES, TABLE, chain, recipe

# Table 3 of the paper: top-1 and top-5 validation error at one test scale.
TABLE_3 = {
    "vgg11-256": (29.6, 10.4), "vgg11_lrn-256": (29.7, 10.5), "vgg13-256": (28.7, 9.9),
    "vgg16_1x1-256": (28.1, 9.4), "vgg16_1x1-384": (28.1, 9.3), "vgg16_1x1-jitter": (27.3, 8.8),
    "vgg16-256": (27.0, 8.8), "vgg16-384": (26.8, 8.7), "vgg16-jitter": (25.6, 8.1),
    "vgg19-256": (27.3, 9.0), "vgg19-384": (26.9, 8.7), "vgg19-jitter": (25.5, 8.0),
}  # fmt: skip


def names(recipes):
    return [recipe.name for recipe in recipes]


def test_every_net_has_its_three_stages():
    assert set(STAGES) == {
        f"{net}-{stage}" for net in vgg.CONFIGURATIONS for stage in ("256", "384", "jitter")
    }


def test_the_published_errors_are_table_3():
    published = {stage.name: stage.published for stage in TABLE if stage.published}
    assert published == TABLE_3


def test_what_the_paper_says_of_training():
    """Sect. 3.1."""
    d = recipe("vgg16-256")
    assert (d.batch_size, d.momentum, d.weight_decay, d.dropout) == (256, 0.9, 5e-4, 0.5)
    assert (d.learning_rate, d.drops, d.epochs) == (1e-2, 3, 74)
    assert (d.input_size, d.scales, d.width) == (224, (256, 256), 1.0)
    assert recipe("vgg16-384").scales == (384, 384)
    assert recipe("vgg16-384").learning_rate == 1e-3
    assert recipe("vgg16-jitter").scales == (256, 512) and recipe("vgg16-jitter").test_scale == 384


def test_chains_begin_with_the_shallow_net():
    assert names(chain("vgg16")) == ["vgg11-256", "vgg16-256", "vgg16-384", "vgg16-jitter"]
    assert names(chain("vgg19-256")) == ["vgg11-256", "vgg19-256"]
    assert names(chain("vgg11")) == ["vgg11-256", "vgg11-384", "vgg11-jitter"]
    with pytest.raises(UnknownNameError, match="Did you mean 'vgg19'"):
        chain("vgg18")


@pytest.mark.parametrize("stage", TABLE, ids=lambda stage: stage.name)
def test_a_row_becomes_a_recipe(stage):
    """Every field of a row is one of the recipe; the others are the same in all recipes."""
    made = asdict(stage.recipe())
    assert made.items() >= stage._asdict().items()
    plain = asdict(Recipe(name="any", net="vgg11"))
    assert all(made[name] == plain[name] for name in made.keys() - stage._asdict().keys())


@pytest.mark.parametrize("stage", TABLE, ids=lambda stage: stage.name)
def test_a_stage_starts_from_the_stage_before_it(stage):
    """Sect. 3.1: S=256 from net A, S=384 from S=256, jitter from S=384 and like it."""
    scale = stage.name.removeprefix(f"{stage.net}-")
    before = {"384": f"{stage.net}-256", "jitter": f"{stage.net}-384"}.get(scale)
    assert stage.start == (before or (None if stage.net.startswith("vgg11") else "vgg11-256"))
    assert stage.scales == {"256": (256, 256), "384": (384, 384), "jitter": (256, 512)}[scale]
    assert (stage.learning_rate, stage.drops) == ((1e-2, 3) if scale == "256" else (1e-3, 2))


def test_a_row_names_its_command_and_what_the_paper_reached():
    stage = STAGES["vgg16-jitter"]
    assert stage.command == "vggfeat pretrain --stage vgg16-jitter --data DIR"
    assert stage.cost == "8.8e18 operations in 74 epochs"
    assert stage.expected == "25.6 / 8.1, dense at Q=384"
    assert STAGES["vgg11-384"].expected == "not in the paper"


@pytest.mark.slow
def test_importing_the_recipes_builds_no_net():
    code = (
        "from torch import nn; nn.Module.__init__ = None;"
        "from vggfeat.pretraining.recipes import recipe; print(recipe('vgg16-256').net)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "vgg16\n", "")


@pytest.mark.parametrize("net", vgg.CONFIGURATIONS)
def test_the_cost_is_that_of_the_net(net):
    import torch

    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        vgg.build(net)(torch.empty(1, 3, 224, 224)).sum().backward()
    counted = counter.get_total_flops() * 1_281_167 * 74
    assert EXA_OPERATIONS[net] == round(counted / 1e18, 1)
