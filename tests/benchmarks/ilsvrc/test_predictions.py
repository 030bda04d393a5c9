"""Files of posteriors: what goes through them, how they are fused, what is refused."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
from helpers.net_files import CLASSES
from safetensors.numpy import save_file

from vggfeat.benchmarks.ilsvrc.predictions import KEY, About, Predictions, fuse, read, write
from vggfeat.errors import DatasetError

NUM_PICTURES = 7


def net(name="vgg16", *scales):
    return {
        "name": name, "weights": f"{name}.safetensors", "weights_sha256": name, "posteriors": [],
        "train_scale": "256", "scales": list(scales or (256,)), "images_per_s": {},
    }  # fmt: skip


def about(*nets, **changes):
    facts = About(
        title="pictures", data="digest", limited=False, classes=list(CLASSES),
        ids=[f"{i}.jpg" for i in range(NUM_PICTURES)], skipped={}, view="dense",
        nets=list(nets or [net()]), notes=["a note"],
    )  # fmt: skip
    return replace(facts, **changes)


def made(*nets, seed=0, **changes):
    facts = about(*nets, **changes)
    scores = np.random.default_rng(seed).random((len(facts.ids), len(facts.classes)))
    labels = np.arange(len(facts.ids)) % len(facts.classes)
    return Predictions(facts, (scores / scores.sum(axis=1, keepdims=True)), labels)


@pytest.fixture
def written(tmp_path):
    def written(predictions):
        path = tmp_path / f"{len(list(tmp_path.iterdir()))}.safetensors"
        write(path, predictions)
        return path

    return written


def test_they_go_through_a_file(written):
    before = made(net(), net("vgg19", 224, 256), skipped={"x.jpg": "broken"})
    after = read(written(before))
    assert after.about == before.about and after.labels.tolist() == before.labels.tolist()
    assert np.array_equal(after.posteriors, before.posteriors.astype(np.float16))


def test_the_five_likeliest_are_those_before_rounding_the_first_class_first(tmp_path):
    """In float16 the second and the third would be equal."""
    posteriors = np.array([[0.1, 0.25001, 0.25002, 0.1, 0.1, 0.19997]])
    one = Predictions(about(ids=["a.jpg"]), posteriors, np.array([2]))
    write(tmp_path / "a.safetensors", one)
    from safetensors.numpy import load_file

    stored = load_file(tmp_path / "a.safetensors")
    assert stored["top5"].tolist() == [[2, 1, 5, 0, 3]]
    assert {name: str(value.dtype) for name, value in stored.items()} == {
        "posteriors": "float16", "top5": "int32", "labels": "int32",
    }  # fmt: skip


# Several files.


def test_two_nets_are_fused_by_the_mean_of_their_posteriors(written):
    parts = [made(net(name), seed=seed) for seed, name in enumerate(("vgg16", "vgg19"))]
    fused = fuse([written(one) for one in parts])
    expected = (parts[0].posteriors + parts[1].posteriors) / 2
    np.testing.assert_allclose(fused.posteriors, expected, atol=2e-4)
    assert [one["name"] for one in fused.about.nets] == ["vgg16", "vgg19"]
    assert fused.about.view == "dense" and fused.about.notes == ["a note"]


def test_every_net_counts_alike_also_from_a_file_of_two(written):
    """The record names three nets: their mean is what it has to be of."""
    pair = made(net("vgg16"), net("vgg19"), seed=1)
    third = made(net("vgg13"), seed=2)
    fused = fuse([written(pair), written(third)])
    expected = (2 * pair.posteriors + third.posteriors) / 3
    np.testing.assert_allclose(fused.posteriors, expected, atol=2e-4)


def test_dense_and_crops_of_the_same_nets_are_both(written):
    dense = made(net("vgg16"), net("vgg19"), seed=1)
    crops = [made(net(name), seed=3, view="crops") for name in ("vgg19", "vgg16")]
    fused = fuse([written(one) for one in (dense, *crops)])
    assert fused.about.view == "both"
    assert sorted(one["name"] for one in fused.about.nets) == ["vgg16", "vgg19"]
    # Half dense and half crops, although these lie in two files.
    expected = dense.posteriors / 2 + (crops[0].posteriors + crops[1].posteriors) / 4
    np.testing.assert_allclose(fused.posteriors, expected, atol=2e-4)


def test_one_net_at_two_lists_of_scales_is_two(written):
    fused = fuse([written(made(net("vgg16", q), seed=q)) for q in (256, 384)])
    assert [one["scales"] for one in fused.about.nets] == [[256], [384]]


def test_only_pictures_that_are_in_all_files_are_fused(written):
    whole = made(seed=1)
    ids = [i for i in reversed(whole.about.ids) if i != "3.jpg"]
    scores = np.random.default_rng(2).random((6, 6))
    labels = np.array([int(i[0]) % 6 for i in ids])
    less = Predictions(about(net("vgg19"), ids=ids, skipped={"3.jpg": "broken"}), scores, labels)
    fused = fuse([written(whole), written(less)])
    assert fused.about.ids == [i for i in whole.about.ids if i != "3.jpg"]
    assert fused.about.skipped == {"3.jpg": "broken"}
    assert fused.labels.tolist() == [int(i[0]) % 6 for i in fused.about.ids]
    np.testing.assert_allclose(
        fused.posteriors[0], (whole.posteriors[0] + scores[-1]) / 2, atol=5e-4
    )  # 0.jpg is the last of the other file


@pytest.mark.parametrize(
    "other, message",
    [
        (dict(data="another digest"), "is not of the same pictures and classes as"),
        (dict(classes=[*CLASSES[:-1], "gnu"]), "is not of the same pictures and classes as"),
        (dict(), "is of a net and scales that are there. Name each once"),
        (dict(nets=[net("vgg19"), net()]), "is of a net and scales that are there"),
        (dict(view="centre"), "views centre, dense. Name files of one view, or of dense and crops"),
        (dict(view="crops", nets=[net("vgg19")]), "of the views crops, dense"),
        (dict(view="crops", nets=[net("vgg16", 512)]), "of the views crops, dense"),
        (dict(nets=[net("b")], ids=list("abcdefg")), "no picture is in all of"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(written, other, message):
    with pytest.raises(DatasetError, match=message):
        fuse([written(made()), written(made(**other))])


# What is no file of predictions.


def damaged(path, tensors=(), text=None, **facts):
    """A file that differs from a sound one in a few tensors or facts, or in all it says."""
    sound = made()
    values = {
        "posteriors": sound.posteriors.astype(np.float16),
        "top5": np.zeros((NUM_PICTURES, 5), np.int32),
        "labels": sound.labels.astype(np.int32),
    } | dict(tensors)  # fmt: skip
    if text is None:
        text = json.dumps({"schema_version": 1, **vars(sound.about)} | facts)
    save_file({k: v for k, v in values.items() if v is not None}, path, {KEY: text})
    return path


NAN = np.full((NUM_PICTURES, 6), np.nan, np.float16)


@pytest.mark.parametrize(
    "damage",
    [
        dict(schema_version=2),
        dict(unknown=1),
        dict(classes=list(CLASSES[:5])),
        dict(ids=["0.jpg"]),
        dict(ids="0123456"),
        dict(ids=[{}] * NUM_PICTURES),
        dict(ids=["0.jpg"] * NUM_PICTURES),
        dict(skipped=[]),
        dict(title=3),
        dict(notes=[[]]),
        dict(view="sideways"),
        dict(nets=[]),
        dict(nets=[3]),
        dict(nets=[{"name": "vgg16"}]),
        dict(nets=[net() | {"name": 3}]),
        dict(nets=[net() | {"scales": "256"}]),
        dict(nets=[net() | {"train_scale": "big"}]),
        dict(nets=[net() | {"images_per_s": []}]),
        dict(nets=[net() | {"images_per_s": {"dense": "fast"}}]),
        dict(nets=[{k: v for k, v in net().items() if k != "train_scale"}]),
        dict(tensors={"labels": None}),
        dict(tensors={"labels": np.arange(NUM_PICTURES, dtype=np.int64)}),
        dict(tensors={"labels": np.full(NUM_PICTURES, 6, np.int32)}),
        dict(tensors={"labels": np.full(NUM_PICTURES, -1, np.int32)}),
        dict(tensors={"posteriors": NAN}),
        dict(tensors={"posteriors": NAN[:, :5]}),
        dict(tensors={"posteriors": np.zeros(NUM_PICTURES, np.float16)}),
    ],
    ids=str,
)
def test_a_damaged_file_is_refused_by_name(tmp_path, damage):
    assert read(damaged(tmp_path / "sound.safetensors")).about == about()
    with pytest.raises(DatasetError, match="damaged.safetensors: not a whole file of predictions"):
        read(damaged(tmp_path / "damaged.safetensors", **damage))


@pytest.mark.parametrize("text", ["", "{", "3", '"text"', "[]", "[" * 100_000])
def test_facts_that_cannot_be_understood_are_refused(tmp_path, text):
    with pytest.raises(DatasetError, match="a.safetensors: not a whole file of predictions"):
        read(damaged(tmp_path / "a.safetensors", text=text))


def test_half_a_file_is_refused(written):
    path = written(made())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DatasetError, match="not a whole file of predictions"):
        read(path)


def test_other_files_are_refused(tmp_path):
    save_file({"weight": np.zeros(3)}, tmp_path / "weights.safetensors")
    with pytest.raises(DatasetError, match="weights.safetensors: holds no predictions. `--save`"):
        read(tmp_path / "weights.safetensors")
    with pytest.raises(DatasetError, match="no such file of predictions. `--save` writes them"):
        read(tmp_path / "missing.safetensors")


class Trap:
    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_a_pickle_is_refused_and_not_opened(tmp_path):
    (tmp_path / "trap.safetensors").write_bytes(pickle.dumps(Trap()))
    with pytest.raises(DatasetError, match="not a whole file of predictions"):
        read(tmp_path / "trap.safetensors")


def test_a_crash_while_writing_leaves_the_old_file(written, monkeypatch):
    path = written(made())
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda *_: (_ for _ in ()).throw(OSError(28, "full")))
    with pytest.raises(OSError):
        write(path, made(seed=1))
    assert path.read_bytes() == before and list(path.parent.iterdir()) == [path]
