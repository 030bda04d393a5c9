"""Paths may be text in every public Python function that takes one."""

import numpy as np
from helpers.net_files import write_net
from helpers.pictures import NARROW, write_picture

from vggfeat import Extraction, extract, load_network, store


def test_descriptors_of_pictures_in_folders_named_by_text(tmp_path):
    path = write_picture(tmp_path / "a.png", (50, 40))
    options = Extraction(scales=(32,), device="cpu", precision="fp32")
    network = load_network(NARROW, weights_dir=str(tmp_path / "weights"))
    made = extract("test", {"a": str(path)}, network, options, folder=str(tmp_path / "text"))
    same = extract("test", {"a": path}, network, options, folder=tmp_path / "path")
    assert made.path.parent == tmp_path / "text"
    found = store.read(str(made.path), ["a"], [32])
    np.testing.assert_array_equal(found, store.read(same.path, ["a"], [32]))


def test_a_file_of_weights_may_be_a_path(tmp_path):
    path = write_net(tmp_path / "net.safetensors")
    assert load_network(path).identity == load_network(str(path)).identity
