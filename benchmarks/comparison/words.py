"""What stands below the tables of comparisons: how certain they are, and of what."""

from collections.abc import Sequence

from vggfeat.benchmarks.comparison.comparison import NUM_DECIDING, ONE_OF_SEVERAL, Comparison
from vggfeat.plurals import counted
from vggfeat.statistics.bootstrap import NUM_DRAWS


def p_text(p: float) -> str:
    """A p-value with two digits that count."""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.0e}"


def remarks(c: Comparison) -> tuple[str, ...]:
    """Lines on a pair, the verdict last."""
    return tuple(
        filter(
            None,
            (
                _also_differ(c),
                _basis(c),
                _of_splits(c),
                _alone(c),
                _other_training(c),
                "One is better if the interval of the difference excludes 0, and one alone is right"
                f" on {NUM_DECIDING} pictures or more."
                if c.mcnemar
                else "One is better if the interval of the difference excludes 0.",
                str(c),
            ),
        )
    )


def remarks_on_several(comparisons: Sequence[Comparison]) -> tuple[str, ...]:
    """Lines on the pairs of several records; in what they differ their labels say."""
    has_one_label = comparisons[0].a.accuracy is not None
    return (
        _basis(comparisons[0]),
        "In brackets: 95 % intervals. p is that of the paired bootstrap; p, Holm, is adjusted for"
        f" {counted(len(comparisons), 'pair')} (Holm, 1979). One is better where that is below"
        f" {ONE_OF_SEVERAL} and the interval excludes 0"
        + (
            f", and one alone is right on {NUM_DECIDING} pictures or more."
            if has_one_label
            else "."
        ),
    )


def _also_differ(c: Comparison) -> str:
    return f"A and B also differ in {', '.join(c.also_differ)}." if c.also_differ else ""


def _basis(c: Comparison) -> str:
    """What was resampled, and what the interval is about."""
    pictures = c.pictures
    left_out = (
        f" {pictures.num_left_out:,} without a score on every side are left out."
        if pictures.num_left_out
        else ""
    )
    trained = "nets" if pictures.lower_is_better else "probes"
    splits = f" of {pictures.num_splits} splits" if pictures.num_splits > 1 else ""
    return (
        f"Intervals are about the {pictures.num_pictures:,} test pictures{splits}, drawn"
        f" {NUM_DRAWS:,} times (paired bootstrap), given the trained {trained}.{left_out}"
    )


def _of_splits(c: Comparison) -> str:
    """On how many splits A is ahead; empty for one split."""
    count = c.pictures.num_splits
    if count == 1:
        return ""
    sign = -1 if c.pictures.lower_is_better else 1
    ahead_a, ahead_b = (
        sum(way * sign * difference > 1e-9 for difference in c.per_split) for way in (1, -1)
    )
    for name, ahead in (("A", ahead_a), ("B", ahead_b)):
        if ahead == count:
            return f"{name} is ahead on all {count} splits."
    equal = count - ahead_a - ahead_b
    return f"A is ahead on {ahead_a} and B on {ahead_b} of {count} splits" + (
        f", equal on {equal}." if equal else "."
    )


def _alone(c: Comparison) -> str:
    """How often the two disagree, who is right then, and McNemar's test where there is one."""
    of_a, of_b = (sum(counts) for counts in zip(*c.right_alone, strict=True))
    total = len(c.pictures.ids)
    text = (
        f"Other predictions for {len(c.disagreements):,} of {total:,} test cases; right alone:"
        f" A {of_a:,}, B {of_b:,}"
    )
    if c.mcnemar is None:
        return f"{text} (whether the class with the highest score is a label)."
    p, of_splits = c.mcnemar
    combined = ", twice the median of the splits' p" if len(of_splits) > 1 else ""
    return f"{text} (McNemar's exact test of accuracy: p = {p_text(p)}{combined})."


def _other_training(c: Comparison) -> str:
    test = c.with_other_training
    if test is None:
        return ""
    return (
        f"With other training pictures, too: {test.low:+.1f} to {test.high:+.1f}, p ="
        f" {p_text(test.p)} (corrected resampled t-test over {c.pictures.num_splits} splits;"
        " Nadeau & Bengio, 2003)."
    )
