"""Stratified splits: shares of each class, and the published algorithm step by step."""

import hashlib

import numpy as np
import pytest

from vggfeat.benchmarks.protocols.stratified_splits import (
    in_drawn_order,
    of_multi_labels,
    of_single_labels,
)

SHARES = (0.64, 0.2, 0.16)


def test_the_order_is_that_of_the_digests_and_of_nothing_else():
    ids = [f"dog/{n}.jpg" for n in range(20)]
    by_digest = sorted(range(20), key=lambda n: hashlib.sha256(f"1/0/2/{ids[n]}".encode()).digest())
    assert in_drawn_order(np.arange(20), ids, "1/0/2").tolist() == by_digest
    some = in_drawn_order(np.array([3, 9, 4]), ids, "1/0/2").tolist()
    assert some == [n for n in by_digest if n in (3, 4, 9)]


@pytest.mark.parametrize(
    "count, sizes",
    [(1, (1, 0, 0)), (2, (1, 1, 0)), (3, (1, 1, 1)), (5, (3, 1, 1)), (10, (6, 2, 2)),
     (60, (38, 12, 10)), (800, (512, 160, 128))],
)  # fmt: skip
def test_each_class_has_its_shares_and_at_least_one_picture_where_possible(count, sizes):
    classes = np.array([0] * count + [1] * 7)
    rng = np.random.default_rng(count)
    parts = of_single_labels(classes, rng.permutation(len(classes)), SHARES)
    assert tuple(int((classes[part] == 0).sum()) for part in parts) == sizes
    assert sorted(np.concatenate(parts)) == list(range(len(classes)))


def test_another_class_changes_nothing_in_this_one():
    classes, drawn = np.array([0] * 9 + [1] * 9), np.random.default_rng(0).permutation(18)
    alone = of_single_labels(classes, drawn[drawn < 9], SHARES)
    both = of_single_labels(classes, drawn, SHARES)
    for a, b in zip(alone, both, strict=True):
        assert a.tolist() == b[b < 9].tolist()


def algorithm_1(labels, drawn, shares):
    """Sechidis et al. (2011), algorithm 1, line by line; ties go to the first part."""
    D = [int(row) for row in drawn]
    c = [share * len(D) for share in shares]
    num_classes = labels.shape[1]
    c_of = [[share * sum(labels[x, i] for x in D) for i in range(num_classes)] for share in shares]
    S = [[] for _ in shares]

    def give(x, m):
        S[m].append(x)
        D.remove(x)
        c[m] -= 1
        for i in range(num_classes):
            c_of[m][i] -= labels[x, i]

    while any(labels[x].any() for x in D):
        left = [sum(labels[x, i] for x in D) for i in range(num_classes)]
        rarest = min((n, i) for i, n in enumerate(left) if n)[1]
        for x in [x for x in D if labels[x, rarest]]:
            most = max(of_part[rarest] for of_part in c_of)
            M = [j for j in range(len(S)) if abs(c_of[j][rarest] - most) < 1e-9]
            give(x, max(M, key=lambda j: c[j]))
    for x in list(D):
        give(x, max(range(len(S)), key=lambda j: c[j]))
    return [sorted(part) for part in S]


@pytest.mark.parametrize("seed", range(5))
def test_several_labels_are_divided_as_published(seed):
    rng = np.random.default_rng(seed)
    labels = rng.random((90, 6)) < [0.5, 0.3, 0.2, 0.1, 0.05, 0.02]
    drawn = rng.permutation(90)[:80]
    parts = of_multi_labels(labels, drawn, SHARES)
    assert [part.tolist() for part in parts] == algorithm_1(labels, drawn, SHARES)
    assert sorted(np.concatenate(parts)) == sorted(drawn)


def test_shares_of_each_of_several_labels():
    rng = np.random.default_rng(0)
    labels = rng.random((2000, 20)) < rng.random(20) * 0.3
    parts = of_multi_labels(labels, rng.permutation(2000), SHARES)
    in_all = labels.sum(axis=0)
    for part, share in zip(parts, SHARES, strict=True):
        assert abs(labels[part].sum(axis=0) - share * in_all).max() < 12
        assert abs(len(part) - share * 2000) < 40
    rare = np.zeros((50, 2), dtype=bool)
    rare[:2, 0], rare[:, 1] = True, True
    train, test, _ = of_multi_labels(rare, np.arange(50), SHARES)
    assert rare[train, 0].sum() == rare[test, 0].sum() == 1
