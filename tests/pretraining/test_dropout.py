"""Dropout whose mask belongs to a batch, not to how it is cut up."""

import torch

from vggfeat import vgg
from vggfeat.pretraining.dropout import LAYERS, BatchDropout, replace_dropout, seed_dropout


def net():
    made = vgg.build("vgg11", num_classes=3, width=0.0625, input_size=32)
    replace_dropout(made, 0.5)
    return made


def test_it_stands_where_the_nets_own_dropout_stood():
    plain = vgg.build("vgg11", num_classes=3, width=0.0625, input_size=32)
    stood = [i for i, layer in enumerate(plain.classifier) if isinstance(layer, torch.nn.Dropout)]
    assert tuple(stood) == LAYERS
    assert all(isinstance(net().classifier[i], BatchDropout) for i in LAYERS)


def test_parts_of_a_batch_get_the_masks_of_the_whole():
    made, ones = net(), torch.ones(10, 256)
    seed_dropout(made, 7, 3, slice(0, 10), 10)
    whole = made.classifier[2](ones)
    parts = []
    for rows in (slice(0, 4), slice(4, 9), slice(9, 10)):
        seed_dropout(made, 7, 3, rows, 10)
        parts.append(made.classifier[2](ones[rows]))
    assert torch.equal(torch.cat(parts), whole)


def test_masks_differ_between_updates_layers_and_seeds():
    made, ones = net(), torch.ones(4, 256)
    masks = []
    for seed, step, layer in ((0, 0, 2), (0, 0, 5), (0, 1, 2), (1, 0, 2)):
        seed_dropout(made, seed, step, slice(0, 4), 4)
        masks.append(made.classifier[layer](ones))
    assert all(not torch.equal(a, b) for i, a in enumerate(masks) for b in masks[:i])


def test_half_is_dropped_the_rest_doubled_and_nothing_in_tests():
    made, ones = net(), torch.ones(100, 256)
    seed_dropout(made, 0, 0, slice(0, 100), 100)
    dropped = made.classifier[2](ones)
    assert set(dropped.unique().tolist()) == {0.0, 2.0} and abs(dropped.mean() - 1) < 0.03
    made.eval()
    assert torch.equal(made.classifier[2](ones), ones)
