"""Advice to a net that has not begun to learn: only what can help, with what was really set."""

from dataclasses import replace

import pytest

from vggfeat.pretraining.position import Position
from vggfeat.pretraining.recipes import recipe
from vggfeat.pretraining.schedule import Schedule
from vggfeat.pretraining.stuck import stuck_message

A_NET = replace(recipe("vgg11-256"), stuck_after=1500, epochs=20)


def advice(told, epoch=8, step=1504):
    schedule = Schedule(rate=told.learning_rate, drops_left=3, patience=2)
    position = Position(schedule=schedule, epoch=epoch, step=step)
    position.curve.append({"loss": 3.689})
    return stuck_message(told, position, 40)


def test_the_loss_stands_beside_ln_classes():
    assert advice(A_NET).startswith(
        "vgg11-256: after 1,504 updates the loss is 3.689, and ln(classes) is 3.689: as if all"
        " classes had the same score."
    )


def test_the_shallowest_net_is_not_sent_to_a_shallower_one():
    assert "start" not in advice(A_NET) and "began" not in advice(A_NET)


def test_a_deeper_net_that_began_with_random_weights_is_sent_to_the_start_of_its_recipe():
    told = replace(recipe("vgg16-256"), start=None)
    assert "It began with random weights; the recipe starts from vgg11-256." in advice(told)


def test_one_that_did_start_from_another_is_not_told_to_do_so():
    told = advice(recipe("vgg16-256"))
    assert "It began with weights of vgg11-256: see that this one has learned." in told
    assert "random weights" not in told


def test_weights_that_another_net_gave_as_a_whole_leave_no_choice_of_init():
    assert "init" not in advice(recipe("vgg16-384"))
    assert "init" in advice(recipe("vgg16-256"))  # whose other layers are random


def test_glorots_weights_leave_no_choice_of_init():
    assert "init" not in advice(replace(A_NET, init="glorot"))


@pytest.mark.parametrize(
    ("std", "width", "words"),
    [
        (0.01, 1.0, "another init_std (it is 0.01)"),
        (0.001, 1.0, "a larger init_std (it is 0.001)"),
        (0.01, 0.25, "a larger init_std (it is 0.01, at width=0.25)"),  # as 0.005 at full width
        (0.03, 0.25, "another init_std (it is 0.03, at width=0.25)"),
    ],
)
def test_a_deviation_is_judged_at_the_width_of_the_net(std, width, words):
    told = advice(replace(A_NET, init_std=std, width=width))
    assert f"Try --set init=glorot, {words} or another learning_rate (it was 0.01)." in told


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (1e-2, "another learning_rate (it was 0.01)"),
        (1e-4, "a larger learning_rate (it was 0.0001; the recipe's is 0.01)"),
        (1.0, "a smaller learning_rate (it was 1; the recipe's is 0.01)"),
    ],
)
def test_a_rate_is_judged_by_that_of_the_recipe(rate, words):
    assert words in advice(replace(A_NET, learning_rate=rate))


@pytest.mark.parametrize(
    ("epochs", "words"),
    [
        (20, "--set stuck_after=3008 (its epochs have 3,760)."),
        (10, "--set stuck_after=1880 (its epochs have 1,880)."),  # not 3008, which it never makes
        (8, "all 8 epochs are over; --set epochs=N gives it more, with a stuck_after above 1500."),
    ],
)
def test_it_is_told_to_go_on_for_no_more_updates_than_its_epochs_have(epochs, words):
    assert f"If it only needs longer: {words}" in advice(replace(A_NET, epochs=epochs))


def test_one_epoch_is_no_plural_and_none_no_rate_of_updates():
    told = advice(replace(A_NET, epochs=1), epoch=1, step=188)
    assert told.endswith("its epoch is over; --set epochs=N gives it more.")
    assert "longer" not in advice(A_NET, epoch=0, step=0)
