"""Recipes of bounding-box regressors (paper, appendix A.1).

`<stage>-pcr` starts from the weights of a stage of pretraining, such as vgg16-256, replaces the
last layer by one that regresses a box for each class, and trains all layers; `<stage>-scr`
regresses one box for all classes; with `-fc` behind it only the fully connected layers are trained.
"""

import re
from dataclasses import dataclass, fields
from typing import Literal

from vggfeat.errors import UnknownNameError
from vggfeat.pretraining.objective import REGRESSORS, BoxRegression
from vggfeat.pretraining.recipe import Recipe
from vggfeat.pretraining.recipes import STAGES, recipe


@dataclass(frozen=True, kw_only=True, slots=True)
class BoxRecipe(Recipe):
    """How one bounding-box regressor is trained."""

    regressor: Literal["scr", "pcr"]
    tuned: Literal["all", "fc"]  # layers that are trained

    @property
    def takes_last_layer(self) -> bool:
        return False

    @property
    def trains_convolutions(self) -> bool:
        return self.tuned == "all"

    def objective(self, num_classes: int) -> BoxRegression:
        return BoxRegression(self.regressor, num_classes, self.input_size)


def box_recipe(name: str) -> BoxRecipe:
    """The recipe of a regressor. Raises UnknownNameError.

    The paper states the initial rate, 1e-3, and that S is fixed; drops are those of S=384.
    """
    parts = re.fullmatch(r"(.+)-(scr|pcr)(-fc)?", name)
    if not parts or parts[1] not in STAGES:
        names = [
            f"{stage}-{kind}{last}"
            for stage in STAGES
            for kind in REGRESSORS
            for last in ("", "-fc")
            if re.fullmatch(r".*-\d+", stage)  # of one S, as the paper's
        ]
        net = name.partition("-")[0]
        of_net = [listed for listed in names if listed.startswith(f"{net}-")]
        of_vgg16 = [listed for listed in names if listed.startswith("vgg16-")]
        raise UnknownNameError("regressor", name, of_net or of_vgg16)
    base = recipe(parts[1])
    changes = {
        "name": name, "start": base.name, "published": None, "learning_rate": 1e-3, "drops": 2,
    }  # fmt: skip
    inherited = {field.name: getattr(base, field.name) for field in fields(base)}
    return BoxRecipe(**(inherited | changes), regressor=parts[2], tuned="fc" if parts[3] else "all")
