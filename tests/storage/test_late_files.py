"""Files of other machines are waited for, but not forever."""

import threading
import time

from vggfeat.storage import late_files
from vggfeat.storage.late_files import wait_until_seen


def test_what_comes_late_is_waited_for(tmp_path, monkeypatch):
    monkeypatch.setattr(late_files, "LOOK_EVERY_S", 0.01)
    late = tmp_path / "folder" / "late"

    def make():
        late.parent.mkdir()
        late.touch()

    timer = threading.Timer(0.1, make)
    timer.start()
    wait_until_seen([tmp_path, late])
    assert late.exists()
    timer.join()


def test_what_never_comes_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr(late_files, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(late_files, "SEEN_AFTER_S", 0.05)
    began = time.monotonic()
    wait_until_seen(tmp_path / name for name in "abc")
    assert time.monotonic() - began >= 0.05 and not any(tmp_path.iterdir())
