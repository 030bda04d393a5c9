"""What several test modules build on: small pictures in the original layouts, the real data."""

import os
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from vggfeat.cli import main

NARROW = "vgg11:width=0.0625,input_size=32@random:0"  # a net that runs in milliseconds


def write_picture(path: Path, size: tuple[int, int] = (48, 36), seed: int = 0) -> Path:
    """A picture of soft random colours, as JPEG or PNG by the path's suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR).save(path)
    return path


def write_classes(root: Path, counts: dict[str, int]) -> Path:
    """root/<class>/image_NNNN.jpg; the pictures of a class share a tint, so they can be told."""
    for number, (name, count) in enumerate(counts.items()):
        tint = np.random.default_rng(number).integers(0, 256, 3)
        for i in range(count):
            noise = np.random.default_rng([number, i]).integers(-40, 40, (6, 8, 3))
            colours = np.clip(tint + noise, 0, 255).astype(np.uint8)
            path = root / name / f"image_{i + 1:04d}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            # Two shapes, so that batches of equal shape have something to do.
            size = (48, 36) if i % 3 else (36, 50)
            Image.fromarray(colours).resize(size, Image.Resampling.BILINEAR).save(path)
    return root


@pytest.fixture(autouse=True)
def any_processor(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """auto is fp32 whatever the processor multiplies, so that tests see the same digits."""
    if not request.node.get_closest_marker("this_processor"):
        monkeypatch.setattr("torch.cpu.get_capabilities", dict, raising=False)


@pytest.fixture
def caltech_dir(tmp_path: Path) -> Path:
    """A data folder with a small Caltech-101: four classes, the background among them."""
    counts = {"BACKGROUND_Google": 34, "accordion": 34, "inline_skate": 31, "wild_cat": 12}
    write_classes(tmp_path / "data" / "101_ObjectCategories", counts)
    return tmp_path / "data"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder in place of the user's cache folder."""
    folder = tmp_path / "home"
    monkeypatch.setenv("VGGFEAT_HOME", str(folder))
    return folder


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real pictures and weights; tests that need it are skipped without."""
    folder = os.environ.get("VGGFEAT_REAL_DATA")
    if not folder:
        pytest.skip("VGGFEAT_REAL_DATA is not set: no real pictures to test with")
    return Path(folder)


@pytest.fixture
def run(home: Path):
    """Run a command with an empty cache folder; stdout and stderr apart."""

    def run(*arguments):
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        # A traceback would be an error of ours: only click's way out is allowed.
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run
