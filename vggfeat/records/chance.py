"""What a metric comes to by chance: of scores that are drawn by lot for the same test examples."""

import numpy as np

from vggfeat.metrics import AP_RULES, average_precisions
from vggfeat.records.scores import Scores

DRAWS = 100


def chance_level(scores: Scores, metric: str) -> float:
    """The metric's expected value, a fraction of one, where scores say nothing of the labels.

    metric is "mean_class_recall" or "accuracy", which are 1 / K, or a rule of average precision:
    that depends on how many examples have each class, and is the mean of 100 rankings drawn by lot,
    the same each time. The labels are those of the first split.
    """
    if metric not in AP_RULES:
        return 1 / len(scores.classes)
    labels = scores.labels[scores.splits == scores.splits[0]]
    random = np.random.default_rng(0)
    return float(
        np.mean([
            average_precisions(of_class, random.random(len(labels)))[metric]
            for of_class in labels.T
            if (of_class > 0).any()
            for _ in range(DRAWS)
        ])
    )  # fmt: skip
