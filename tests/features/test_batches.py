"""Pictures of equal shape go through a net together, no more than its memory holds."""

from vggfeat.features.batches import plan_batches


def test_batches_hold_pictures_of_equal_shape_at_every_scale():
    sizes = {"a": (300, 200), "b": (200, 300), "c": (600, 400), "d": (301, 200), "e": (300, 200)}
    assert plan_batches(sizes, (32,)) == [["a", "c", "d", "e"], ["b"]]
    # At 512 the extra column of d shows,
    # and no more than 2^20 pixels, two pictures of 768 x 512, make a batch.
    assert plan_batches(sizes, (32, 512)) == [["a", "c"], ["e"], ["b"], ["d"]]


def test_batches_are_cut_by_count_or_by_pixels():
    sizes = {str(i): (100, 100) for i in range(5)}
    assert [len(b) for b in plan_batches(sizes, (32,), batch_size=2)] == [2, 2, 1]
    assert [len(b) for b in plan_batches(sizes, (512,))] == [4, 1]  # 4 x 512^2 = 2^20
