"""Pictures of equal shape go through a net together, no more than its memory holds."""

from vggfeat.features.batches import plan_batches


def test_batches_hold_pictures_of_equal_shape_at_every_scale():
    sizes = {"a": (300, 200), "b": (200, 300), "c": (600, 400), "d": (301, 200), "e": (300, 200)}
    assert plan_batches(sizes, (32,)) == [["b"], ["a", "c", "d", "e"]]
    # At 512 the extra column of d shows,
    # and no more than 2^20 pixels, two pictures of 768 x 512, make a batch.
    assert plan_batches(sizes, (32, 512)) == [["b"], ["a", "c"], ["e"], ["d"]]


def test_pictures_that_share_a_shape_at_some_scale_follow_each_other():
    """301x200 is at scale 32 what 300x200 is, and at 512 what no other is."""
    sizes = {"a": (300, 200), "b": (200, 300), "c": (320, 200), "d": (301, 200), "e": (600, 400)}
    scales = (32, 512)
    plan = plan_batches(sizes, scales)
    assert plan == [["b"], ["a", "e"], ["d"], ["c"]]
    # In whatever order the pictures come.
    backwards = plan_batches(dict(reversed(sizes.items())), scales)
    assert [sorted(batch) for batch in backwards] == plan


def test_batches_of_a_shape_are_equal_where_their_number_stays_the_same():
    """A net's kernels are made for each size of a batch anew, and its weights for each batch."""
    lengths = {}
    for number in range(1, 9):
        plan = plan_batches({str(i): (48, 32) for i in range(number)}, (32,), batch_size=3)
        lengths[number] = [len(batch) for batch in plan]
    assert lengths == {
        1: [1], 2: [2], 3: [3], 4: [2, 2], 5: [3, 2], 6: [3, 3], 7: [3, 3, 1], 8: [3, 3, 2],
    }  # fmt: skip


def test_batches_are_cut_by_count_or_by_pixels():
    sizes = {str(i): (100, 100) for i in range(5)}
    assert [len(b) for b in plan_batches(sizes, (32,), batch_size=2)] == [2, 2, 1]
    assert [len(b) for b in plan_batches(sizes, (512,))] == [4, 1]  # 4 x 512^2 = 2^20
