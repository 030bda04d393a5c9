"""Several processes extract into one feature file: the same bits as one, whatever dies meanwhile.

The processes are threads here, which share a store in memory; a few tests start real ones.
"""

import threading

import h5py
import numpy as np
import pytest
import torch.distributed as dist
from helpers.pictures import NARROW, write_picture

from vggfeat.backbones.load import load_network
from vggfeat.features import part_files, store
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureRequest, FeatureSets
from vggfeat.processes.workers import Workers

SHAPES = ((48, 36), (40, 60), (36, 36))
NUM_PICTURES = 30


@pytest.fixture
def pictures(tmp_path):
    """Thirty pictures in three shapes, id -> path."""
    return {
        f"{n:02d}": write_picture(tmp_path / "pictures" / f"{n}.png", SHAPES[n % 3], seed=n)
        for n in range(NUM_PICTURES)
    }


def request(pictures, *scales, net=NARROW, **options):
    return FeatureRequest(
        dataset="test",
        pictures=pictures,
        network=load_network(net),
        options=Extraction(scales=scales or (32,), precision="fp32", batch_size=4, **options),
    )


def extract_by(size, requests, folder):
    """What the leading one of `size` processes extracts; requests are of all, or of each."""
    kept = dist.HashStore()
    results, errors = [], []

    def process(rank):
        features = FeatureSets(folder, workers=Workers(rank, size, rank, kept))
        try:
            own = requests(rank) if callable(requests) else requests
            features.extract_together(own)
            if rank == 0:
                results.extend(features.extract(one) for one in own)
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=process, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if errors:
        raise errors[0]
    return results


def arrays(path):
    """Everything that a feature file holds, but for when it was made."""
    with h5py.File(path) as file:
        found = {name: file[name][()].tolist() for name in file}
        attributes = {name: str(file.attrs[name]) for name in file.attrs if name != "created"}
    return found, attributes, store.picture_digests(path, [])


def same_bits(one, other):
    with h5py.File(one) as a, h5py.File(other) as b:
        assert set(a) == set(b)
        for name in a:
            assert a[name][()].tobytes() == b[name][()].tobytes() or name == "ids"
        assert a["ids"][()].tolist() == b["ids"][()].tolist()
        for name in a.attrs:
            if name != "created":
                assert np.array_equal(a.attrs[name], b.attrs[name]), name
    assert store.sums.read_sums(one).tobytes() == store.sums.read_sums(other).tobytes()


@pytest.mark.parametrize("size", [2, 3])
def test_several_processes_make_the_file_that_one_makes(tmp_path, pictures, size):
    (alone,) = extract_by(1, [request(pictures)], tmp_path / "alone")
    (shared,) = extract_by(size, [request(pictures)], tmp_path / "shared")
    assert shared.num_new == NUM_PICTURES and shared.path.name == alone.path.name
    same_bits(alone.path, shared.path)
    assert not part_files.folder_of(shared.path).exists()
