"""What several test modules build on: small pictures in the original layouts, the real data."""

import gc
import os
import shutil
import sys
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:  # several test processes share the cores
    for library in ("OMP", "OPENBLAS", "MKL"):
        os.environ.setdefault(f"{library}_NUM_THREADS", "1")
# Tables have their whole width, whatever terminal the tests run in; xdist names one of 80 columns.
os.environ.pop("COLUMNS", None)
# Each file is brought to disk before it takes its name, which takes a disk milliseconds, and the
# tests write thousands: they write into memory where Linux has a folder there with 4 GB.
if os.access("/dev/shm", os.W_OK) and shutil.disk_usage("/dev/shm").free > 4e9:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", "/dev/shm")
# Where no bytecode is written, as containers often have it, every process that a test starts
# compiles vggfeat again.
if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
    sys.dont_write_bytecode = False

import pytest
from click.testing import CliRunner
from helpers.pictures import write_classes

from vggfeat.cli import main


def pytest_collection_finish() -> None:
    """What importing left behind is not looked through for garbage again and again."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(scope="module")
def browser():
    """Chromium, which playwright drives; skipped with a word where either is missing."""
    api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()
