"""Metrics: accuracy, mean class recall, ranks for top-k, average precision by three rules."""

import numpy as np


def class_recalls(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Recall of each class [K]: the share of its pictures that were classified correctly.

    truth and predicted hold class numbers [N]. NaN for a class that has no picture.
    """
    totals = np.bincount(truth, minlength=num_classes)
    hits = np.bincount(truth[truth == predicted], minlength=num_classes)
    return np.divide(hits, totals, out=np.full(num_classes, np.nan), where=totals > 0)


def mean_class_recall(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> float:
    """Mean of `class_recalls` over the classes that have a picture (Caltech's metric)."""
    return float(np.nanmean(class_recalls(truth, predicted, num_classes)))


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of pictures whose predicted class [N] is the true class [N]."""
    return float(np.mean(truth == predicted))


def ranks(scores: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Rank [N] of each picture's true class [N] among its scores [N, K], from 0.

    Of equal scores the lower class number comes first, so that a net that gives all classes the
    same score is not counted as correct. Raises ValueError if scores hold NaN.
    """
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN.")
    true_scores = np.take_along_axis(scores, truth[:, None], axis=1)
    ties_before = (scores == true_scores) & (np.arange(scores.shape[1]) < truth[:, None])
    return ((scores > true_scores) | ties_before).sum(axis=1)


# What MATLAB's 0:0.1:1 holds, which is filled from both ends: k * 0.1 up to the middle, 1 - k * 0.1
# beyond it. numpy.arange gives other last bits at 0.6 and 0.7, where a recall of 3/5 would be lost.
# (Whether MATLAB's for loop, which the devkit uses, takes exactly these values is not documented.)
RECALL_LEVELS = (0.0, 0.1, 0.2, 3 * 0.1, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
AP_RULES = ("map_11pt", "map_area", "map_step")


def average_precisions(signs: np.ndarray, scores: np.ndarray) -> dict[str, float]:
    """Average precision of one class by the three rules in use, under the names of their means.

    map_11pt  VOC 2007's devkit: the mean, over recall levels 0, 0.1, ... 1, of the highest
              precision at that recall or more
    map_area  the devkit from 2010 on: the area under precision made non-increasing
    map_step  scikit-learn's average_precision_score: no interpolation, ties count as one step

    signs [N] in {1, 0, -1}; a picture of sign 0 (only difficult instances) counts as neither hit
    nor miss. scores [N]: higher is more confident, -inf for a picture without a result; in the
    devkit's rules ties keep their order. NaN if there is no picture of sign 1. Raises ValueError
    if scores hold NaN or are not as many as signs.
    """
    from sklearn.metrics import average_precision_score  # 1 s to import

    signs, scores = np.asarray(signs), np.asarray(scores, dtype=np.float64)
    if signs.shape != scores.shape or signs.ndim != 1:
        raise ValueError(f"signs {signs.shape} and scores {scores.shape} must be equally long.")
    if np.isnan(scores).any():
        raise ValueError("scores hold NaN.")
    # Dropped before ranking: the devkit keeps them and gets 0/0 where one is ranked first.
    signs, scores = signs[signs != 0], scores[signs != 0]
    num_positives = (signs > 0).sum()
    if not num_positives:
        return dict.fromkeys(AP_RULES, float("nan"))
    ranked = signs[np.argsort(-scores, kind="stable")] > 0
    hits = np.cumsum(ranked)
    recall = hits / num_positives
    precision = hits / np.arange(1, len(ranked) + 1)
    best_from_here = np.maximum.accumulate(precision[::-1])[::-1]
    at_levels = np.append(best_from_here, 0)[np.searchsorted(recall, RECALL_LEVELS)]
    # average_precision_score refuses infinite scores; their ranks say the same.
    ranks = np.unique(scores, return_inverse=True)[1]
    return {
        "map_11pt": float(at_levels.mean()),
        "map_area": float(best_from_here[ranked].sum() / num_positives),
        "map_step": float(average_precision_score(signs > 0, ranks)),
    }
