"""Depth, scale, view and fusion side by side."""

from helpers.records import classified, net

from vggfeat.report.ilsvrc_grid import tables
from vggfeat.report.render import render

SMALL = "vgg11:width=0.25,input_size=64"
PICTURES = {"classes": 40, "images": 2000}


def grid(records, form):
    return render(tables(records), form)


def small(*nets, **rest):
    return classified(
        *nets, title="tiny", protocol=PICTURES, n_test=[2000], splits_sha256="a", **rest
    )


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_a_line_a_net_and_its_scales_a_column_a_view():
    one = net(SMALL, "73", [73], images_per_s={"dense": 512.7})
    several = net(SMALL, "73", [64, 73, 82])
    text = grid(
        [
            small(several, view="crops", top1=0.69, top5=0.366),
            small(one, view="dense", top1=0.717, top5=0.408),
            small(several, view="dense", top1=0.698, top5=0.378),
        ],
        "md",
    )
    header, _, *lines = text.splitlines()[:4]
    assert cells(header) == [
        "net", "S", "Q", "dense (%)", "crops (%)", "weights", "images/s dense", "images/s crops",
    ]  # fmt: skip
    weights = "vgg11-73.safetensors"
    assert [cells(line) for line in lines] == [
        ["vgg11", "73", "73", "71.7 / 40.8", "", weights, "513", ""],
        ["vgg11", "73", "64 73 82", "69.8 / 37.8", "69.0 / 36.6", weights, "", ""],
    ]
    assert "error on 2,000 pictures of tiny, 40 classes" in text
    assert "Nets with width=0.25,input_size=64." in text


def test_one_net_comes_before_several_and_a_single_s_before_a_range():
    deep, shallow, jittered = net("vgg16"), net("vgg11"), net("vgg11", "256-512", [384])
    text = grid([small(shallow, deep), small(deep), small(jittered), small(shallow)], "md")
    found = [cells(line)[:3] for line in text.splitlines()[2:6]]
    assert found == [
        ["vgg11", "256", "256"],
        ["vgg11", "256-512", "384"],
        ["vgg16", "256", "256"],
        ["vgg11+vgg16", "256+256", "256"],
    ]


def test_other_pictures_have_a_table_of_their_own():
    text = grid([small(net()), classified(net(), title="other")], "table")
    assert "of tiny, 40 classes" in text and "of other, 1000 classes" in text


def test_a_part_of_the_pictures_is_said_to_be_one():
    assert "LIMITED" in grid([small(net(), limited=True)], "table")


def test_of_the_same_measurement_twice_the_newest_counts():
    old = small(net(), top1=0.5, time="2026-01-01T00:00:00+00:00")
    new = small(net(), top1=0.4, time="2026-01-02T00:00:00+00:00")
    for records in ([old, new], [new, old]):
        text = grid(records, "md")
        assert "40.0 / 8.6" in text and "50.0 / 8.6" not in text


def test_a_net_that_was_trained_again_has_a_line_of_its_own():
    text = grid([small(net()), small(net(weights_sha256="cd"), top1=0.4)], "md")
    assert "40.0 / 8.6" in text and "26.7 / 8.6" in text
