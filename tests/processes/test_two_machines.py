"""Two network namespaces as two machines under torchrun: one is killed and started again.

Needs the right to make namespaces: root on Linux, with iproute2.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
from helpers.pictures import write_classes

NODES = {"node1": "10.21.7.1", "node2": "10.21.7.2"}
EXTRACT = (
    "extract", "--dataset", "pictures", "--net", "vgg11:width=0.25,input_size=32@random:0",
    "--scales", "128", "--device", "cpu",
)  # fmt: skip


def ip(*words: str) -> str:
    return subprocess.run(["ip", *words], check=True, capture_output=True, text=True).stdout


def namespace(node: str) -> str:
    return f"vggfeat-{os.getpid()}-{node}"


@pytest.fixture
def machines() -> Iterator[None]:
    """Two namespaces with a wire between them, and names for their addresses."""
    made = [namespace(node) for node in NODES]
    hosts = "127.0.0.1 localhost\n" + "".join(f"{ip} {node}\n" for node, ip in NODES.items())
    try:
        for name in made:
            ip("netns", "add", name)
            folder = Path("/etc/netns", name)
            folder.mkdir(parents=True)
            (folder / "hosts").write_text(hosts)
        ends = [f"vgf{os.getpid() % 10**6}{end}" for end in "ab"]
        ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(made, ends, NODES.values(), strict=True):
            ip("link", "set", end, "netns", name)
            ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no network namespaces here: {getattr(error, 'stderr', '') or error}")
    finally:
        for name in made:
            kill(name)
            subprocess.run(["ip", "netns", "del", name], capture_output=True)
            shutil.rmtree(Path("/etc/netns", name), ignore_errors=True)


def kill(name: str) -> None:
    """Everything on a machine: torchrun's agent and its processes."""
    found = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in found.stdout.split():
        os.kill(int(pid), signal.SIGKILL)


def start(node: str, folder: Path) -> subprocess.Popen:
    """torchrun on one of the machines."""
    # Without it torch 2.14 does not let an agent that comes later meet the others.
    environment = os.environ | {"OMP_NUM_THREADS": "1", "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"}
    command = [
        "ip", "netns", "exec", namespace(node),
        "unshare", "--uts", "sh", "-c", f'hostname {node}; exec "$@"', "sh",
        sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "2",
        "--max-restarts", "3", "--rdzv-backend", "c10d", "--rdzv-endpoint", "node1:29400",
        "--rdzv-id", "test", "-m", "vggfeat", *EXTRACT, "--cache-dir", "together",
    ]  # fmt: skip
    with (folder / f"{node}.log").open("a") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def features(folder: Path) -> dict[str, np.ndarray]:
    (path,) = folder.glob("features/*.h5")
    with h5py.File(path) as file:
        return {name: file[name][()] for name in ("ids", "descriptors", "done")}


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("ip") or os.geteuid() != 0, reason="needs root and iproute2")
def test_a_machine_is_killed_and_started_again(machines, tmp_path):
    write_classes(tmp_path / "pictures", {"ant": 700, "bee": 700})
    first, second = (start(node, tmp_path) for node in NODES)
    while len(list(tmp_path.glob("together/features/*.parts/*.h5"))) < 3:
        assert first.poll() is None, (tmp_path / "node1.log").read_text()
        time.sleep(0.1)
    kill(namespace("node2"))
    second.wait()
    second = start("node2", tmp_path)
    assert first.wait(300) == 0, (tmp_path / "node1.log").read_text()
    assert second.wait(60) == 0, (tmp_path / "node2.log").read_text()
    alone = [sys.executable, "-m", "vggfeat", *EXTRACT, "--cache-dir", "alone"]
    subprocess.run(alone, cwd=tmp_path, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    together, expected = features(tmp_path / "together"), features(tmp_path / "alone")
    assert all(np.array_equal(together[name], expected[name]) for name in expected)
