"""Quick variants of the benchmarks that use a GPU: all of them within eight minutes on a large one.

On a GPU of 790 TFLOP/s in bf16 and some 50 in fp32, with 16 cores:

- extraction: a picture takes 0.875 TFLOP, so that 2,048 in bf16 are 4 s at 60 % of the rate, while
  64 in fp32 are 1 s, and 5 s the usual way, whose one thread decodes and rescales; a round with
  the limits is some 13 s.
- svm: LinearSVC fits a class at VOC 2007's size in 14 s of a core (34 fits), at Caltech-101's in
  10 s (6 fits); with a process for each core, 6 and 16 classes take some 7 and 12 s a round, the
  comparison at C = 1 some 20 s. Caltech-256's size would take minutes, and is left out.
- training: a picture of VGG-16 at 224 takes 0.093 TFLOP. A run of 1,280 pictures is 0.4 s at 45 %
  of the rate, and 3 s the usual way in fp32.
- loading: 16,384 pictures are 4.4 s for the step; a loader of 3,000 a second takes 5.5 s, with the
  step and without. The 256 photographs take 10 s to write.

With two rounds and one that warms up, these are some 40, 80, 20 and 60 s; writing photographs,
building nets and loading libraries take another minute, and the tests before them one or two.
"""

from dataclasses import replace
from typing import Any

from vggfeat.benchmarks.speed import svm, training
from vggfeat.errors import OptionError

REPEATS = 2
_C = 1.0  # where results are compared
_FEW = replace(svm.VOC, name="600 x 512, 4 classes", num_pictures=600, dim=512, num_classes=4)
# Arguments of each benchmark's `measure`: device -> name -> argument -> value.
ARGUMENTS: dict[str, dict[str, dict[str, Any]]] = {
    "cuda": {
        "extraction": {"num_pictures": 64, "num_bf16": 2048},
        "svm": {
            "cases": tuple(replace(case, checked=(_C,)) for case in (svm.VOC, svm.CALTECH101)),
            "largest": None,
        },
        "training": {},
        "loading": {},
    },
    "cpu": {
        "extraction": {"num_pictures": 2, "memory_pictures": None},
        "svm": {"cases": (replace(_FEW, checked=(_C,)),), "largest": None},
        "training": {"cases": (training.SMALL,)},
        "loading": {"num_files": 32},
    },
}
NAMES = tuple(ARGUMENTS["cuda"])


def arguments(name: str, device: str) -> dict[str, Any]:
    """The arguments of a benchmark's `measure`. Raises OptionError if it has no quick variant."""
    if name not in NAMES:
        raise OptionError(f"benchmark {name!r} has no quick variant; {', '.join(NAMES)} have one.")
    return ARGUMENTS[device][name]
