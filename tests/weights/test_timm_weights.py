"""timm's weights come from a hub; here from a server that speaks as much of its protocol."""

import hashlib
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import timm
from safetensors.torch import save

CODE = """
import sys
from pathlib import Path

import torch

from vggfeat.backbones.load import load_network
from vggfeat.errors import DownloadError

folder = Path(sys.argv[1])
network = load_network("timm/test_resnet", weights_dir=folder)
assert network.label == "timm/test_resnet@timm"
again = load_network("timm/test_resnet", weights_dir=folder, offline=True)
assert again.weights_sha256 == network.weights_sha256
assert network.module(torch.zeros(1, 3, 96, 96)).shape == (1, network.backbone.dim, 1, 1)
print(network.weights_sha256)
try:
    load_network("timm/resnet18", weights_dir=folder)
except DownloadError as error:
    print(error)
"""


@pytest.fixture
def hub():
    """A server with the weights of one net; yields its address and the digest of the file."""
    tensors = timm.create_model("test_resnet", pretrained=False).state_dict()
    content = save({key: tensor.contiguous() for key, tensor in tensors.items()})
    digest = hashlib.sha256(content).hexdigest()

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self):
            there = self.path == "/timm/test_resnet.r160_in1k/resolve/main/model.safetensors"
            self.send_response(200 if there else 404)
            self.send_header("X-Repo-Commit", "a" * 40)
            self.send_header("ETag", f'"{digest}"')
            self.send_header("Content-Length", str(len(content) if there else 0))
            self.end_headers()
            if there and self.command == "GET":
                self.wfile.write(content)

        do_HEAD = do_GET

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", digest
        server.shutdown()


@pytest.mark.slow
def test_timms_weights_are_fetched_once_and_what_is_not_there_is_told(tmp_path, hub):
    address, digest = hub
    environment = os.environ | {"HF_ENDPOINT": address, "HF_HUB_DISABLE_XET": "1"}
    run = subprocess.run(
        [sys.executable, "-c", CODE, tmp_path], env=environment, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    found, refusal = run.stdout.splitlines()
    assert found == digest
    assert "timm/resnet18: model.safetensors of timm/resnet18.a1_in1k cannot be had" in refusal
    assert "name it: timm/resnet18@FILE.safetensors" in refusal
