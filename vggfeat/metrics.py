"""Metrics of the benchmarks, under the names that records use."""

import numpy as np


def class_recalls(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> np.ndarray:
    """Recall of each class [K]: the share of its pictures that were called so.

    truth and predicted hold class numbers [N]. NaN for a class that has no picture.
    """
    totals = np.bincount(truth, minlength=num_classes)
    hits = np.bincount(truth[truth == predicted], minlength=num_classes)
    return np.divide(hits, totals, out=np.full(num_classes, np.nan), where=totals > 0)


def mean_class_recall(truth: np.ndarray, predicted: np.ndarray, num_classes: int) -> float:
    """Mean of the classes' recalls, over the classes that have a picture (Caltech's metric)."""
    return float(np.nanmean(class_recalls(truth, predicted, num_classes)))


def accuracy(truth: np.ndarray, predicted: np.ndarray) -> float:
    """Share of pictures whose class was named rightly."""
    return float(np.mean(truth == predicted))
