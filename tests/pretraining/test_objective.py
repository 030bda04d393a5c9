"""Losses and hits by hand: naming a class, regressing a box."""

import numpy as np
import pytest
import torch

from vggfeat.pretraining.objective import NO_LABEL, BoxRegression, Classification

NAN = float("nan")
WHOLE = [0.0, 0.0, 32.0, 32.0]  # encoded (0, 0, 1, 1)
RIGHT_UPPER = [16.0, 0.0, 32.0, 16.0]  # encoded (0.25, -0.25, 0.5, 0.5)


def boxes(*of_each: list[list[float]]) -> torch.Tensor:
    return torch.tensor(of_each, dtype=torch.float64)


def gradient(objective, outputs, labels, boxes) -> tuple[float, torch.Tensor]:
    outputs = outputs.clone().requires_grad_()
    loss = objective.loss(outputs, torch.tensor(labels), boxes)
    loss.backward()
    return float(loss.detach()), outputs.grad


def test_the_euclidean_loss_by_hand():
    """Half the squared distance: (1 + 4 + 0 + 9) / 2, and its gradient the difference."""
    outputs = torch.tensor([[1.0, -2.0, 1.0, 4.0]])
    loss, grad = gradient(BoxRegression("scr", 3, 32), outputs, [2], boxes([WHOLE]))
    assert loss == 7 and grad.tolist() == [[1, -2, 0, 3]]


def test_losses_of_pictures_are_added():
    objective, outputs = BoxRegression("scr", 3, 32), torch.zeros(2, 4)
    loss, _ = gradient(objective, outputs, [0, 1], boxes([WHOLE], [RIGHT_UPPER]))
    assert loss == 2 / 2 + (2 * 0.0625 + 2 * 0.25) / 2


def test_of_a_box_a_class_only_the_true_ones_learns():
    objective = BoxRegression("pcr", 3, 32)
    assert (objective.num_outputs, BoxRegression("scr", 3, 32).num_outputs) == (12, 4)
    outputs = torch.arange(24.0).view(2, 12)
    loss, grad = gradient(objective, outputs, [2, 0], boxes([WHOLE], [RIGHT_UPPER]))
    expected = torch.zeros(2, 12)
    expected[0, 8:] = torch.tensor([8.0, 9, 9, 10])
    expected[1, :4] = torch.tensor([11.75, 13.25, 13.5, 14.5])
    assert grad.equal(expected) and loss == pytest.approx(float((expected**2).sum()) / 2)


@pytest.mark.parametrize("kind", ["scr", "pcr"])
@pytest.mark.parametrize("box", [WHOLE, [NAN] * 4])
def test_a_row_without_label_contributes_nothing(kind, box):
    """Of a crop that hardly shows the object, or of no picture, where there is no box."""
    objective = BoxRegression(kind, 3, 32)
    outputs = torch.full((2, objective.num_outputs), 0.5)
    alone, first = gradient(objective, outputs[:1], [1], boxes([WHOLE]))
    loss, grad = gradient(objective, outputs, [1, NO_LABEL], boxes([WHOLE], [box]))
    no_gradient = [0] * objective.num_outputs
    assert loss == alone and grad[:1].equal(first) and grad[1].tolist() == no_gradient


def test_a_pass_without_any_label_has_a_gradient_of_zeros():
    """Processes wait for each other's gradients."""
    loss, grad = gradient(
        BoxRegression("scr", 3, 32), torch.ones(1, 4), [NO_LABEL], boxes([[NAN] * 4])
    )
    assert loss == 0 and grad.tolist() == [[0, 0, 0, 0]]


def test_in_bf16_only_the_outputs_are_rounded():
    """11 pixels of 32 are no number of bf16's."""
    box = [0.0, 0.0, 11.0 / 3, 32.0]
    outputs = torch.zeros(1, 4, dtype=torch.bfloat16)
    loss = BoxRegression("scr", 3, 32).loss(outputs, torch.tensor([0]), boxes([box]))
    share = 11 / 96
    assert float(loss) == pytest.approx(((0.5 - share / 2) ** 2 + share**2 + 1) / 2, rel=1e-6)


def hits(objective, outputs, labels, boxes) -> list[bool]:
    right = objective.hits(torch.tensor(outputs), torch.tensor(labels), boxes)
    assert right.shape == (len(labels), 1)
    return right[:, 0].tolist()


def test_a_box_is_right_if_it_overlaps_any_of_several():
    outputs = [[0.25, -0.25, 0.5, 0.5]] * 4
    true = boxes([WHOLE, RIGHT_UPPER], [RIGHT_UPPER, WHOLE], [WHOLE, WHOLE], [WHOLE, [NAN] * 4])
    assert hits(BoxRegression("scr", 3, 32), outputs, [0] * 4, true) == [True, True, False, False]


def test_half_an_overlap_is_wrong():
    """The upper half of the window, and a hair more."""
    outputs = [[0.0, -0.25, 1.0, 0.5], [0.0, -0.24, 1.0, 0.52]]
    assert hits(BoxRegression("scr", 3, 32), outputs, [0, 0], boxes([WHOLE], [WHOLE])) == [
        False,
        True,
    ]


def test_the_box_of_the_pictures_class_counts():
    row = [0.0, 0, 1, 1, 0.25, -0.25, 0.5, 0.5]
    outputs, true = [row, row], boxes([RIGHT_UPPER], [RIGHT_UPPER])
    assert hits(BoxRegression("pcr", 2, 32), outputs, [0, 1], true) == [False, True]


def test_what_has_no_label_is_no_hit():
    """It is not among the pictures that are counted, either."""
    right = hits(BoxRegression("scr", 3, 32), [[0.0, 0, 1, 1]] * 2, [0, NO_LABEL],
                 boxes([WHOLE], [WHOLE]))  # fmt: skip
    assert right == [True, False]


NO_BOXES = torch.empty(3, 0, 4)


def test_naming_a_class_is_cross_entropy():
    scores = np.random.default_rng(0).normal(size=(3, 7))
    labels = [4, NO_LABEL, 0]
    loss, grad = gradient(Classification(7), torch.tensor(scores), labels, NO_BOXES)
    log_posteriors = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert loss == pytest.approx(-log_posteriors[0, 4] - log_posteriors[2, 0])
    assert grad[1].tolist() == [0] * 7
    np.testing.assert_allclose(grad[0].numpy() + np.eye(7)[4], np.exp(log_posteriors[0]), atol=1e-6)


def test_top_1_and_top_5():
    scores = torch.arange(7.0).repeat(3, 1)  # class 6 is the best, 2 the fifth, 1 the sixth
    labels = torch.tensor([6, 2, 1])
    right = Classification(7).hits(scores, labels, NO_BOXES)
    assert right.tolist() == [[True, True], [False, True], [False, False]]


def test_of_fewer_than_five_classes_all_are_among_the_five():
    scores, labels = torch.tensor([[0.0, 1, 2]] * 3), torch.tensor([2, 0, NO_LABEL])
    right = Classification(3).hits(scores, labels, NO_BOXES)
    assert right.tolist() == [[True, True], [False, True], [False, False]]
