"""The devkit's own average precision, for tests to compare with."""

import math


def devkit_aps(signs, scores) -> tuple[float, float]:
    """VOCevalcls and VOCap of the devkit, 2007 and 2010 on, line by line, zeros kept.

    In MATLAB 0/0 is NaN, max passes over NaN, and sort is stable.
    """
    order = sorted(range(len(signs)), key=lambda i: -scores[i])
    positives = sum(sign > 0 for sign in signs)
    tp = fp = 0
    recall, precision = [], []
    for i in order:
        tp += signs[i] > 0
        fp += signs[i] < 0
        recall.append(tp / positives)
        precision.append(tp / (fp + tp) if fp + tp else math.nan)
    ap_2007 = 0
    # MATLAB fills 0:0.1:1 from both ends.
    for level in [k * 0.1 for k in range(5)] + [0.5] + [1 - k * 0.1 for k in range(4, -1, -1)]:
        there = [p for r, p in zip(recall, precision, strict=True) if r >= level]
        there = [p for p in there if not math.isnan(p)]
        ap_2007 += (max(there) if there else 0) / 11
    padded_recall, padded_precision = [0, *recall, 1], [0, *precision, 0]
    for i in range(len(padded_precision) - 2, -1, -1):
        pair = [p for p in padded_precision[i : i + 2] if not math.isnan(p)]
        padded_precision[i] = max(pair)
    ap_area = 0
    for i in range(1, len(padded_recall)):
        if padded_recall[i] != padded_recall[i - 1]:
            ap_area += (padded_recall[i] - padded_recall[i - 1]) * padded_precision[i]
    return ap_2007, ap_area
