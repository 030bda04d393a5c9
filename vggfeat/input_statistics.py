"""The mean and standard deviation of R, G and B that a net's input is normalised with."""

from dataclasses import dataclass


@dataclass(frozen=True)
class InputStatistics:
    """A net's input normalisation: (pixel - mean) / std, for R, G, B, on pixels 0 to 255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


# The paper subtracts the mean of the training set and nothing else (sect. 2.1).
PAPER_STATISTICS = InputStatistics(mean=(123.68, 116.779, 103.939), std=(1.0, 1.0, 1.0))
# torchvision's 0.485 0.456 0.406 and 0.229 0.224 0.225, in units of 0 to 255.
TORCHVISION_STATISTICS = InputStatistics(
    mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375)
)
