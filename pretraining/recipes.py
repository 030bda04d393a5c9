"""The paper's training as a table: a row for each net at each training scale S (sect. 3.1).

Net A starts from random weights, a deeper net at S=256 from layers of net A; S=384 starts from the
weights of S=256 with a smaller rate, scale jitter from those of S=384. `recipe` makes a Recipe of a
row, `chain` lists the stages that lead to a net, first things first.
"""

from collections.abc import Mapping
from typing import NamedTuple

from vggfeat.errors import OptionError, UnknownNameError
from vggfeat.pretraining.recipe import Recipe, Scales
from vggfeat.vgg import CONFIGURATIONS

# 1e18 multiplications and additions, each counting, of forward and backward passes in 74 epochs of
# ILSVRC-2012, 1,281,167 pictures. S does not change them, as the crop stays the same.
EXA_OPERATIONS = {
    "vgg11": 4.3, "vgg11_lrn": 4.3, "vgg13": 6.4, "vgg16_1x1": 6.7, "vgg16": 8.8, "vgg19": 11.2,
}  # fmt: skip


class Stage(NamedTuple):
    """A row of the table: one net at one training scale."""

    name: str
    net: str
    start: str | None  # the stage whose weights it starts from
    scales: Scales
    learning_rate: float  # of scale jitter not stated by the paper
    drops: int  # of the rate; those of a later stage end at the last rate of S=256
    published: tuple[float, float] | None  # Table 3: top-1 and top-5 error, %, dense at one Q

    @property
    def command(self) -> str:
        """The command that trains this stage alone."""
        return f"vggfeat pretrain --stage {self.name} --data DIR"

    @property
    def cost(self) -> str:
        """The arithmetic of the whole training, in words."""
        return f"{EXA_OPERATIONS[self.net]}e18 operations in 74 epochs"

    @property
    def expected(self) -> str:
        """The paper's errors in %, in words: dense, where training reports the centre crop."""
        if self.published is None:
            return "not in the paper"
        return f"{self.published[0]} / {self.published[1]}, dense at Q={sum(self.scales) // 2}"

    def recipe(self) -> Recipe:
        """The recipe of this row; what the table leaves out is the same for all rows."""
        return Recipe(**self._asdict())


S256, S384, JITTER = (256, 256), (384, 384), (256, 512)
TABLE = (
    #     stage               net          starts from      S       rate  drops published (%)
    Stage("vgg11-256",        "vgg11",     None,            S256,   1e-2, 3, (29.6, 10.4)),
    Stage("vgg11-384",        "vgg11",     "vgg11-256",     S384,   1e-3, 2, None),
    Stage("vgg11-jitter",     "vgg11",     "vgg11-384",     JITTER, 1e-3, 2, None),
    Stage("vgg11_lrn-256",    "vgg11_lrn", None,            S256,   1e-2, 3, (29.7, 10.5)),
    Stage("vgg11_lrn-384",    "vgg11_lrn", "vgg11_lrn-256", S384,   1e-3, 2, None),
    Stage("vgg11_lrn-jitter", "vgg11_lrn", "vgg11_lrn-384", JITTER, 1e-3, 2, None),
    Stage("vgg13-256",        "vgg13",     "vgg11-256",     S256,   1e-2, 3, (28.7, 9.9)),
    Stage("vgg13-384",        "vgg13",     "vgg13-256",     S384,   1e-3, 2, None),
    Stage("vgg13-jitter",     "vgg13",     "vgg13-384",     JITTER, 1e-3, 2, None),
    Stage("vgg16_1x1-256",    "vgg16_1x1", "vgg11-256",     S256,   1e-2, 3, (28.1, 9.4)),
    Stage("vgg16_1x1-384",    "vgg16_1x1", "vgg16_1x1-256", S384,   1e-3, 2, (28.1, 9.3)),
    Stage("vgg16_1x1-jitter", "vgg16_1x1", "vgg16_1x1-384", JITTER, 1e-3, 2, (27.3, 8.8)),
    Stage("vgg16-256",        "vgg16",     "vgg11-256",     S256,   1e-2, 3, (27.0, 8.8)),
    Stage("vgg16-384",        "vgg16",     "vgg16-256",     S384,   1e-3, 2, (26.8, 8.7)),
    Stage("vgg16-jitter",     "vgg16",     "vgg16-384",     JITTER, 1e-3, 2, (25.6, 8.1)),
    Stage("vgg19-256",        "vgg19",     "vgg11-256",     S256,   1e-2, 3, (27.3, 9.0)),
    Stage("vgg19-384",        "vgg19",     "vgg19-256",     S384,   1e-3, 2, (26.9, 8.7)),
    Stage("vgg19-jitter",     "vgg19",     "vgg19-384",     JITTER, 1e-3, 2, (25.5, 8.0)),
)  # fmt: skip
STAGES: Mapping[str, Stage] = {stage.name: stage for stage in TABLE}


def recipe(name: str) -> Recipe:
    """The recipe of a stage. Raises UnknownNameError, or OptionError at a net's name."""
    if name in CONFIGURATIONS:
        of_net = ", ".join(stage.name for stage in TABLE if stage.net == name)
        raise OptionError(f"{name} is a net; its stages are {of_net}.")
    if name not in STAGES:
        raise UnknownNameError("stage", name, STAGES)
    return STAGES[name].recipe()


def chain(target: str) -> list[Recipe]:
    """The recipes that lead to a net's last stage, or to a stage, in the order of training.

    Raises UnknownNameError.
    """
    if target not in STAGES and target not in CONFIGURATIONS:
        raise UnknownNameError("recipe", target, [*CONFIGURATIONS, *STAGES])
    name: str | None = target if target in STAGES else f"{target}-jitter"
    recipes: list[Recipe] = []
    while name:
        recipes.insert(0, recipe(name))
        name = recipes[0].start
    return recipes
