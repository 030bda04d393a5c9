"""The loader of an extraction: how pictures' sizes are read."""

import threading

from helpers.pictures import write_picture

from vggfeat import images
from vggfeat.features.device import Cpu
from vggfeat.features.options import Extraction
from vggfeat.features.picture_loader import NUM_SIZES_THREADS, PictureLoader
from vggfeat.features.stage_times import StageTimes


def test_many_headers_are_read_at_once_however_few_the_cores(tmp_path, monkeypatch):
    """A file server answers many as fast as one; no thread goes on until all are there."""
    path = write_picture(tmp_path / "a.png", (48, 36))
    pictures = {str(i): path for i in range(2 * NUM_SIZES_THREADS)}
    all_there = threading.Barrier(NUM_SIZES_THREADS, timeout=10)
    read = images.picture_size

    def wait_and_read(picture, **options):
        all_there.wait()
        return read(picture, **options)

    monkeypatch.setattr(images, "picture_size", wait_and_read)
    options = Extraction(scales=(32,), device="cpu")
    loader = PictureLoader(pictures, options, StageTimes(), Cpu(), square=False)
    assert loader.sizes() == dict.fromkeys(pictures, (48, 36))
    assert list(loader.sizes()) == list(pictures)
