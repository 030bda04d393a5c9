"""Curves of training from logs: one run or several, and the loss of a net that knows nothing."""

import json
import math

import pytest
from matplotlib.figure import Figure as Canvas

from vggfeat.errors import TrainingError
from vggfeat.pretraining import plot


def write_run(folder, *, losses=(3.6, 3.5, 3.4), classes=40, metric="top1", updates=()):
    """A run of 100 updates an epoch, whose rate falls after the second."""
    folder.mkdir(parents=True)
    about = {"kind": "start"} | ({"classes": classes} if classes else {})
    lines = [about] + [{"kind": "train", "step": 20 * n, "loss": loss}
                       for n, loss in enumerate(updates, 1)]  # fmt: skip
    lines += [
        {"kind": "epoch", "step": 100 * n, "loss": loss, metric: 0.1 * n, f"train_{metric}": 0.1,
         "rate": 0.01 if n < 3 else 0.001}
        for n, loss in enumerate(losses, 1)
    ]  # fmt: skip
    (folder / "log.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return folder


def panels(figure):
    canvas = Canvas()
    figure.draw(canvas)
    return canvas.axes


def levels(axes):
    """The heights of the lines that go from edge to edge."""
    return [line.get_ydata()[0] for line in axes.lines if list(line.get_xdata()) == [0, 1]]


def test_the_loss_of_one_run_stands_below_the_line_of_equal_scores(tmp_path):
    folder = write_run(tmp_path / "vgg11-256", updates=(3.7, 3.65))
    assert plot.plot([folder]) == folder / "curves.png"
    loss, accuracy = panels(plot._of_one(plot._run(folder, "vgg11-256")))
    assert levels(loss)[0] == pytest.approx(math.log(40))
    assert loss.get_ylim()[0] > 3  # not from 0
    assert accuracy.get_ylim() == (0, 100)
    assert [text.get_text() for text in accuracy.get_legend().get_texts()] == [
        "top-1, validation", "top-1, training crops",
    ]  # fmt: skip


def test_several_runs_come_into_one_figure_beside_them(tmp_path):
    folders = [write_run(tmp_path / name) for name in ("vgg11-256", "vgg16-256")]
    assert plot.plot(folders) == tmp_path / "curves.png"
    labels = [plot._run(folder, folder.name).label for folder in folders]
    assert labels == plot._labels(folders) == ["vgg11-256", "vgg16-256"]
    alike = [tmp_path / "a" / "vgg11-256", tmp_path / "b" / "vgg11-256"]
    assert plot._labels(alike) == list(map(str, alike))


def test_a_log_of_before_has_the_number_of_classes_from_its_record(tmp_path):
    folder = write_run(tmp_path / "vgg11-256", classes=None)
    assert plot._run(folder, "").num_classes is None
    (tmp_path / "vgg11-256.json").write_text(json.dumps({"data": {"classes": 7}}))
    assert plot._run(folder, "").num_classes == 7


def test_the_loss_of_boxes_has_no_line_of_equal_scores(tmp_path):
    folder = write_run(tmp_path / "vgg11-256-scr", metric="localised")
    loss, accuracy = panels(plot._of_one(plot._run(folder, "")))
    assert levels(loss) == [] and loss.get_ylabel() == "training loss"
    assert accuracy.get_legend().get_texts()[0].get_text() == "localised, validation"


def test_the_noise_of_a_net_that_learns_nothing_is_not_blown_up(tmp_path):
    folder = write_run(tmp_path / "stuck", losses=(3.6889, 3.6888, 3.689))
    loss, _ = panels(plot._of_one(plot._run(folder, "")))
    low, high = loss.get_ylim()
    assert high - low == pytest.approx(0.2) and low < math.log(40) < high


def test_a_run_without_a_line_has_nothing_to_draw(tmp_path):
    folder = write_run(tmp_path / "vgg11-256", losses=())
    with pytest.raises(TrainingError, match="nothing to draw yet"):
        plot.plot([folder])
