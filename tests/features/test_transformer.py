"""`VGGFeatures`: the features of `extract` in scikit-learn's pipelines and grid searches."""

import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from helpers.pictures import NARROW, write_picture
from joblib.externals.loky import get_reusable_executor
from PIL import Image
from safetensors.torch import save_file
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import check_estimator

from vggfeat import (
    Extraction,
    OneVsRestSVM,
    VggfeatError,
    VGGFeatures,
    extract,
    load_network,
    store,
)
from vggfeat.features.transformer import _loaded

# Rounding may differ with the pictures of a batch.
CLOSE = {"rtol": 1e-5, "atol": 1e-6}


@pytest.fixture(scope="module")
def paths(tmp_path_factory) -> list[str]:
    """Twelve JPEGs of two sizes: dark ones with coarse noise, then light ones with fine noise."""
    folder = tmp_path_factory.mktemp("pictures")
    for number in range(12):
        random = np.random.default_rng(number)
        low, shape = (0, (6, 8, 3)) if number < 6 else (128, (16, 20, 3))
        pixels = random.integers(low, low + 128, shape, np.uint8)
        picture = Image.fromarray(pixels).resize((64, 48) if number % 2 else (48, 64))
        picture.save(folder / f"{number}.jpg")
    return [str(folder / f"{number}.jpg") for number in range(12)]


LABELS = ["coarse"] * 6 + ["fine"] * 6


def of_extract(paths, folder, scales, **options):
    """Averaged over scales and normalised, without the module under test."""
    named = {str(path): path for path in paths}
    extraction = Extraction(scales=scales, precision="fp32", **options)
    file = extract("mine", named, NARROW, extraction, folder=folder)
    means = store.read(file.path, list(named), scales).mean(axis=1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def test_the_features_are_those_of_extract(paths, tmp_path):
    features = VGGFeatures(NARROW, scales=(32, 48), precision="fp32").fit_transform(paths)
    assert features.dtype == np.float32 and features.shape[0] == 12
    np.testing.assert_allclose(features, of_extract(paths, tmp_path, (32, 48)), **CLOSE)


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "I;16"])
def test_an_image_in_memory_gives_the_features_of_its_file(tmp_path, mode):
    pixels = np.random.default_rng(0).integers(0, 256, (40, 50, 3), np.uint8)
    image = Image.fromarray(pixels).convert("I" if mode == "I;16" else mode)
    image = image.point(lambda value: value * 257).convert(mode) if mode == "I;16" else image
    image.save(tmp_path / "a.png")
    net = VGGFeatures(NARROW, scales=32)
    in_file, *in_memory = net.transform([tmp_path / "a.png", image, Image.open(tmp_path / "a.png")])
    for features in in_memory:
        np.testing.assert_allclose(features, in_file, rtol=1e-3, atol=1e-4)


def test_an_array_gives_the_features_of_its_file(paths):
    """Rows of a four-dimensional array are pictures, too."""
    arrays = [np.asarray(Image.open(path)) for path in paths]
    net = VGGFeatures(NARROW, scales=(32, 48), precision="fp32")
    in_files = net.transform(paths)
    np.testing.assert_allclose(net.transform(arrays), in_files, **CLOSE)
    np.testing.assert_allclose(net.transform(np.stack(arrays[::2])), in_files[::2], **CLOSE)


def test_exif_turns_files_and_images_alike(tmp_path):
    write_picture(tmp_path / "a.jpg", (64, 40))
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.open(tmp_path / "a.jpg").save(tmp_path / "b.png", exif=turned)
    net = VGGFeatures(NARROW, scales=32, mirror=False, precision="fp32")
    pair = [tmp_path / "b.png", Image.open(tmp_path / "b.png")]
    as_stored, upright = net.transform(pair), net.set_params(exif=True).transform(pair)
    for features in (as_stored, upright):
        np.testing.assert_allclose(features[0], features[1], **CLOSE)
    assert np.abs(as_stored - upright).max() > 1e-3


def test_scales_are_averaged_or_stacked(paths):
    average = VGGFeatures(NARROW, scales=[32, 48], precision="fp32").fit()
    stack = clone(average).set_params(aggregate="stack").fit()
    assert stack.n_features_out_ == 2 * average.n_features_out_
    stacked = stack.transform(paths[:2])
    assert stacked.shape == (2, stack.n_features_out_)
    np.testing.assert_allclose(np.linalg.norm(stacked, axis=1), 1, rtol=1e-5)
    one = VGGFeatures(NARROW, scales=32, precision="fp32").transform(paths[:2])
    first = stacked[:, : average.n_features_out_]
    np.testing.assert_allclose(first / np.linalg.norm(first, axis=1)[:, None], one, **CLOSE)


def test_features_have_names_for_a_data_frame(paths):
    net = VGGFeatures(NARROW, scales=32).set_output(transform="pandas")
    frame = net.fit_transform(paths[:2])
    assert list(frame.columns) == list(net.get_feature_names_out())
    assert frame.columns[0] == "vggfeatures0"


def test_no_picture_is_no_row():
    net = VGGFeatures(NARROW, scales=32)
    assert net.transform([]).shape == (0, net.fit().n_features_out_)


def test_in_a_pipeline_and_a_grid_search(paths, tmp_path):
    """Whose copies take each other's features from the cache folder."""
    computed = []

    def progress(label: str, done: int, total: int) -> None:
        computed.append(label)

    features = VGGFeatures(NARROW, scales=(32, 48), cache_dir=tmp_path, progress=progress)
    features.transform(paths)
    computed.clear()
    pipeline = make_pipeline(features, OneVsRestSVM())
    grid = {"onevsrestsvm__C": [0.1, 10.0]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(paths, LABELS)
    assert search.best_score_ == 1
    assert search.predict(paths[::-1]).tolist() == LABELS[::-1]
    assert not computed


def test_the_cache_knows_a_picture_by_its_content(paths, tmp_path):
    net = VGGFeatures(NARROW, scales=32, cache_dir=tmp_path / "cache", precision="fp32")
    shutil.copy(paths[0], tmp_path / "a.jpg")
    first = net.transform([tmp_path / "a.jpg"])
    shutil.copy(paths[11], tmp_path / "a.jpg")
    last = net.transform([tmp_path / "a.jpg"])
    assert np.abs(first - last).max() > 1e-3
    twice = net.transform([paths[0], tmp_path / "a.jpg", paths[0]])
    np.testing.assert_array_equal(twice, np.concatenate([first, last, first]))


def test_a_pickle_holds_no_weights(paths):
    net = VGGFeatures(NARROW, scales=32).fit()
    features, pickled = net.transform(paths[:1]), pickle.dumps(net)
    assert len(pickled) < 2000
    again = pickle.loads(pickled)
    assert again.get_params() == net.get_params() and again.n_features_out_ == net.n_features_out_
    np.testing.assert_array_equal(again.transform(paths[:1]), features)


def test_a_loaded_network_is_used_as_it_is(paths):
    by_name = VGGFeatures(NARROW, scales=32).transform(paths[:1])
    network = load_network(NARROW)
    net = VGGFeatures(network, scales=32)
    np.testing.assert_array_equal(net.transform(paths[:1]), by_name)


def test_a_net_whose_file_was_written_anew_is_loaded_anew(paths, tmp_path):
    name, file = NARROW.partition("@")[0], tmp_path / "net.safetensors"
    net, made = VGGFeatures(f"{name}@{file}", scales=32), []
    for seed in (0, 1):
        save_file(load_network(f"{name}@random:{seed}").net().state_dict(), file)
        made.append(net.transform(paths[:1]))
    assert np.abs(made[0] - made[1]).max() > 1e-3


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (["nowhere.jpg"], r"nowhere.jpg: no such picture\.$"),
        ("a.jpg", "a list of pictures is taken"),
        ([7], "picture 0 of X: a path, a Pillow image or an array .* got 7"),
        ([np.zeros((3, 3, 3))], r"got an array \[3, 3, 3\] of float64"),
        ([Image.new("F", (40, 40))], "picture 0 of X: floating-point pixels are not supported"),
    ],
)
def test_what_is_no_picture_is_named(pictures, message):
    with pytest.raises(VggfeatError, match=message):
        VGGFeatures(NARROW, scales=32).transform(pictures)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"net": "vgg61"}, "Did you mean 'vgg16'"),
        ({"scales": 0}, "scales must be from 1"),
        ({"scales": 16}, "scale 16 is too small"),
        ({"aggregate": "sum"}, "aggregate must be one of"),
        ({"scales": "256"}, "scales must be whole numbers, one or several; got '256'"),
    ],
)
def test_a_parameter_that_is_not_allowed_is_named_at_fit(parameters, message):
    with pytest.raises(VggfeatError, match=message):
        VGGFeatures(**({"net": NARROW, "scales": 32} | parameters)).fit()


def test_threads_take_turns(paths):
    net = VGGFeatures("squeezenet1_0@random:0", scales=32)
    alone = net.transform(paths)
    with ThreadPoolExecutor(4) as threads:
        for features in threads.map(net.transform, [paths] * 4):
            np.testing.assert_array_equal(features, alone)


def test_copies_share_the_net(paths):
    net = VGGFeatures(NARROW, scales=32).fit()
    assert clone(net)._network() is net._network()
    assert _loaded.cache_info().currsize == 1


class OnMatrices(VGGFeatures):
    """Rows of a matrix as small pictures, as the X of scikit-learn's own checks are matrices."""

    def transform(self, X):
        rows = np.asarray(X, dtype=float)
        pixels = [np.abs(50 * np.resize(row, (8, 8, 3))) % 256 for row in rows]
        return super().transform([picture.astype(np.uint8) for picture in pixels])

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.string = True, False
        tags.no_validation = False
        return tags


NO_MATRIX = "fit looks at no picture, and pictures are no matrix"
EXPECTED_TO_FAIL = dict.fromkeys(
    [
        "check_n_features_in", "check_n_features_in_after_fitting", "check_complex_data",
        "check_dtype_object", "check_estimators_empty_data_messages", "check_estimators_nan_inf",
        "check_estimator_sparse_tag", "check_fit1d", "check_fit2d_predict1d",
    ],
    NO_MATRIX,
)  # fmt: skip


@pytest.mark.slow
def test_scikit_learns_own_checks_hold_but_those_of_matrices():
    """Those that are expected to fail do fail: the list says no more than is true."""
    estimator = OnMatrices(NARROW, scales=32, precision="fp32")
    checked = check_estimator(
        estimator, expected_failed_checks=EXPECTED_TO_FAIL, on_skip=None, on_fail="raise"
    )
    names = {check["check_name"] for check in checked if check["status"] == "xfail"}
    assert names == EXPECTED_TO_FAIL.keys()
    assert sum(check["status"] == "passed" for check in checked) > 30


@pytest.mark.slow
def test_processes_of_a_grid_search_load_the_net_themselves(paths, tmp_path):
    pipeline = make_pipeline(VGGFeatures(NARROW, cache_dir=tmp_path), OneVsRestSVM())
    grid = {"vggfeatures__scales": [32, (32, 48)]}
    search = GridSearchCV(pipeline, grid, cv=2, n_jobs=2, error_score="raise").fit(paths, LABELS)
    get_reusable_executor().shutdown()  # no process stays behind
    assert search.best_score_ == 1
