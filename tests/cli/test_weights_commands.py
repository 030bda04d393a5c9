"""weights, doctor and inspect on the command line, as a new user tries them."""

import hashlib
import json
import os
import pickle
import shutil
import threading
import warnings
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import torch
from helpers.net_files import CLASSES, write_net
from helpers.pictures import write_picture
from safetensors.torch import load_file
from torchvision import models

from vggfeat import vgg
from vggfeat.storage.sources import Source
from vggfeat.weights import formats, released
from vggfeat.weights.checkpoint import read_card

NET = "vgg11:width=0.0625,input_size=32"


@pytest.fixture
def run(run, tmp_path, monkeypatch):
    """A command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return run


@pytest.fixture
def refused(run):
    """Run a command that has to end in one line; that line."""

    def refused(*arguments):
        result = run(*arguments)
        assert result.exit_code == 1, result.output
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
        assert result.stderr.splitlines()[-1] == line and "Traceback" not in result.stderr
        return line

    return refused


@pytest.fixture
def narrow(monkeypatch):
    """All nets with a sixteenth of their channels: released names take nets of full size only."""
    monkeypatch.setattr(vgg, "BLOCK_CHANNELS", (4, 8, 16, 32, 32))
    monkeypatch.setattr(vgg, "FC_UNITS", 256)


def test_ls_has_a_line_for_each(run, home):
    entry = released.released("vgg16", "caffe")
    (home / "weights").mkdir(parents=True)
    (home / "weights" / entry.sources[0].name).write_bytes(b"")
    lines = run("weights", "ls").stdout.splitlines()
    assert lines[0].startswith("vgg16@caffe ") and lines[0].endswith("  here")
    assert not any(line.endswith((" ", "here")) for line in lines[1:])
    names = [line.split()[0] for line in lines]
    assert len(set(names)) == len(names) > 100
    assert {"vgg19@torchvision", "resnet50@IMAGENET1K_V2", "vgg16@IMAGENET1K_FEATURES"} <= {*names}
    assert not any(name.endswith("@DEFAULT") for name in names)
    assert any(line.split()[:3] == ["vgg16@matconvnet", "553", "MB"] for line in lines)


def test_ls_of_a_net_tells_all_that_is_known(run, home):
    told = run("weights", "ls", "vgg16").stdout
    for part in (
        "vgg16@caffe\n", "VGG_ILSVRC_16_layers.caffemodel", "vgg16@matconvnet\n",
        "SHA-1 9363e1f6d65f7dba68c4f27a1e62105cdf6c4e24", "28.5 / 9.9 centre crop",
        "MD5 f72d927587ca4c97fbd165ec9cb9997f",
        "SHA-256 397923af", "28.4 / 9.6 centre crop", "123.68, 116.779, 103.939",
        "pooling rounds up",
        "convolutions only, from conv1_1 to pool5: no classifier", f"not in {home / 'weights'}",
    ):  # fmt: skip
        assert part in told
    assert "vgg19" not in told
    both = run("weights", "ls", "vgg11", "resnet50").stdout
    assert "vgg11@torchvision\n" in both and "resnet50@IMAGENET1K_V2\n" in both


def test_ls_of_an_unknown_net_names_the_nearest(refused):
    line = refused("weights", "ls", "vgg61")
    assert "'vgg61'. Did you mean 'vgg1" in line and "Known: vgg11, vgg13, vgg16, vgg19 and" in line
    assert "'resnet5'. Did you mean 'resnet50'" in refused("weights", "ls", "resnet5")


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        content = self.server.files.get(self.path)
        if content is None:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    """Serves `vgg16@caffe` and `vgg19@caffe` from `files`, by the digest of b"whole"."""
    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.files = {}
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    url, digest = f"http://127.0.0.1:{server.server_port}", hashlib.sha1(b"whole").hexdigest()
    served = []
    for entry in released.ORIGINALS:
        source = Source(f"{url}/{entry.sources[0].name}", "sha1", digest)
        served.append(replace(entry, sources=(source,)))
    monkeypatch.setattr(released, "ORIGINALS", tuple(served))
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_fetch_takes_what_is_whole_and_tells_what_is_not(run, home, server):
    server.files["/VGG_ILSVRC_16_layers.caffemodel"] = b"whole"
    server.files["/VGG_ILSVRC_19_layers.caffemodel"] = b"another"
    result = run("weights", "fetch", "vgg16@caffe", "vgg19@caffe", "vgg19@matconvnet")
    path = home / "weights" / "VGG_ILSVRC_16_layers.caffemodel"
    assert result.stdout == f"vgg16@caffe: {path}\n" and path.read_bytes() == b"whole"
    assert result.exit_code == 1
    failed = [line for line in result.stderr.splitlines() if line.startswith("Failed: ")]
    assert [line.split()[1] for line in failed] == ["vgg19@caffe:", "vgg19@matconvnet:"]
    assert "wrong content: sha1" in failed[0] and "404" in failed[1]
    assert result.stderr.splitlines()[-1] == "Error: 2 of 3 could not be fetched."
    assert [file.name for file in (home / "weights").iterdir()] == [path.name]
    again = run("weights", "fetch", "vgg16@caffe", "--quiet")
    assert again.exit_code == 0 and again.stderr == ""


def test_fetch_needs_names_that_are_known(run, refused):
    assert "Did you mean 'caffe'" in refused("weights", "fetch", "vgg16@cafe")
    assert "no released weights of 'vgg99'" in refused("weights", "fetch", "vgg99")
    assert "Unknown option" in refused("weights", "fetch", "vgg16:widht=1@caffe")
    assert run("weights", "fetch").exit_code == 2
    assert "no released weights of 'timm/test_vit'" in refused(
        "weights", "fetch", "timm/test_vit@caffe"
    )
    result = run("weights", "fetch", "w.safetensors")
    assert (
        result.exit_code == 2 and "w.safetensors: a file; weights are fetched by" in result.stderr
    )


def test_verify_sees_files_that_are_not_the_released_ones(run, refused, home, narrow, monkeypatch):
    assert "holds no released weights" in refused("weights", "verify")
    folder = home / "weights"
    folder.mkdir(parents=True)
    torch.save(vgg.build("vgg11").state_dict(), folder / "w.pth")
    sha256 = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()
    row = (f"vgg11-{sha256[:8]}.pth", 507, 69.0, 88.6)
    url = f"https://nowhere.invalid/{row[0]}"
    monkeypatch.setitem(released.TORCHVISION_FAMILY, "vgg11", row)
    monkeypatch.setattr(models.VGG11_Weights.IMAGENET1K_V1.value, "url", url)
    path = (folder / "w.pth").rename(folder / row[0])
    result = run("weights", "verify")
    assert result.exit_code == 0
    expected = f"vgg11@torchvision: whole, fits vgg11; vgg11@torchvision; sha256:{sha256}\n"
    assert result.stdout == expected
    path.write_bytes(b"another")
    result = run("weights", "verify")
    assert result.exit_code == 1 and "Error: 1 of 1 are not as they should be." in result.stderr
    assert "its SHA-256 starts with" in result.stdout and "whole" not in result.stdout
    line = refused("doctor", "--weights", "vgg11", "--offline")
    assert f"{path}: its SHA-256 starts with" in line and "Remove it" in line


def test_verify_takes_convolutions_alone_for_whole(run, home, narrow, monkeypatch):
    folder = home / "weights"
    folder.mkdir(parents=True)
    tensors = dict(vgg.build("vgg16").state_dict())
    for key, tensor in tensors.items():
        if key.startswith("classifier"):
            tensor.fill_(torch.nan)
    torch.save(tensors, folder / "w.pth")
    sha256 = hashlib.sha256((folder / "w.pth").read_bytes()).hexdigest()
    path = (folder / "w.pth").rename(folder / f"features-{sha256[:8]}.pth")
    weights = models.VGG16_Weights.IMAGENET1K_FEATURES
    monkeypatch.setattr(weights.value, "url", f"https://nowhere.invalid/{path.name}")
    for arguments in ((), ("vgg16@IMAGENET1K_FEATURES",)):
        result = run("weights", "verify", *arguments)
        assert result.exit_code == 0
        told = "whole, fits vgg16:layer=pool5; vgg16@IMAGENET1K_FEATURES; sha256:"
        assert told in result.stdout
    result = run("doctor", "--weights", "vgg16@IMAGENET1K_FEATURES")
    wanted = "has no classifier: it can give conv1_1 to pool5 (layer=pool5)"
    assert result.exit_code == 1 and result.stderr.startswith("Error: ") and wanted in result.stderr
    result = run("doctor", "--weights", "vgg16:layer=pool5@IMAGENET1K_FEATURES", "--offline")
    assert result.exit_code == 0 and "descriptor: pool5, 32 numbers" in result.stdout
    picture = write_picture(Path("p.png"))
    result = run(
        "doctor", "--weights", "vgg16:layer=pool5@IMAGENET1K_FEATURES", "--picture", picture
    )
    assert result.exit_code == 1 and wanted in result.stderr and "nan" not in result.stdout
    assert run("weights", "import", path).exit_code == 0
    assert run("doctor", "--weights", f"{path.stem}.safetensors:layer=pool5").exit_code == 0


def test_verify_of_files(run):
    write_net(Path("w.safetensors"))
    assert run("weights", "export", "w.safetensors", "w.caffemodel").exit_code == 0
    Path("x.mat").write_text("no weights")
    torch.save({"a": torch.ones(1)}, "bare.pth")
    names = ["w.safetensors", "w.caffemodel", "x.mat", "bare.pth", "gone.pth", "vgg16@caffe"]
    result = run("weights", "verify", *names)
    lines = result.stdout.splitlines()
    assert [line.partition(": ")[0] for line in lines] == names
    assert all(f"whole, fits {NET}; no released weights; sha256:" in line for line in lines[:2])
    assert not any("whole" in line for line in lines[2:])
    assert all(line.count(name) <= 2 for line, name in zip(lines, names, strict=True))
    assert result.exit_code == 1 and "Error: 4 of 6 are not" in result.stderr


@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".caffemodel", ".mat"])
def test_export_then_import_then_doctor(run, suffix):
    write_net(Path("w.safetensors"), training={"recipe": {"name": "x"}})
    result = run("weights", "export", "w.safetensors", f"my nets/out{suffix}")
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"my nets/out{suffix}\n", "")
    result = run("weights", "import", f"my nets/out{suffix}", "--quiet")
    assert result.exit_code == 0 and result.stdout == "out.safetensors\n"
    assert f"net: {NET}" in result.stderr and "outputs: 6: ant, bee, ..., fox" in result.stderr
    one, other = load_file("w.safetensors"), load_file("out.safetensors")
    assert one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)
    assert read_card(Path("out.safetensors")) == read_card(Path("w.safetensors"))
    told = run("doctor", "--weights", f"my nets/out{suffix}").stdout
    assert f"net: {NET}\n" in told and "pixels less the mean: R 120, G 110, B 100\n" in told
    card = json.loads(run("inspect", f"my nets/out{suffix}").stdout)
    assert card["classes"] == list(CLASSES) and card["net"] == NET


def test_a_prototxt_is_compared(run, refused):
    write_net(Path("w.safetensors"))
    assert run("weights", "export", "w.safetensors", "w.caffemodel").exit_code == 0
    fits = ("weights", "import", "w.caffemodel", "--out", "a.safetensors", "--prototxt")
    assert "gone.prototxt: no such prototxt" in refused(*fits, "gone.prototxt")
    text = Path("w.prototxt").read_text()
    Path("other.prototxt").write_text(text.replace("dim: 32", "dim: 64"))
    assert "its input is 1x3x64x64, and w.caffemodel has Nx3x32x32" in refused(
        *fits, "other.prototxt"
    )
    assert not Path("a.safetensors").exists()
    assert run(*fits, "w.prototxt").exit_code == 0


class Bomb:
    def __reduce__(self):
        return (os.mkdir, ("exploded",))


def put_bad_files():
    write_net(Path("w.safetensors"))
    for name in ("text.safetensors", "text.pth", "text.caffemodel", "text.mat"):
        Path(name).write_text("no weights, but a note on them\n")
    Path("code.pth").write_bytes(pickle.dumps(Bomb()))
    torch.save({"a": Bomb()}, "code.pt")
    whole = Path("w.safetensors").read_bytes()
    Path("cut.safetensors").write_bytes(whole[: len(whole) // 2])
    shutil.copy("w.safetensors", "w.weights")
    shutil.copy("w.safetensors", "w.tar")
    shutil.copy("w.safetensors", "really.caffemodel")
    Path("a folder").mkdir()
    os.symlink("nowhere", "broken.pth")


BAD = [
    ("text.safetensors", "text.safetensors: not a whole .safetensors file"),
    ("cut.safetensors", "cut.safetensors: not a whole .safetensors file"),
    ("text.caffemodel", "text.caffemodel: not a whole .caffemodel"),
    ("really.caffemodel", "really.caffemodel: "),
    ("text.mat", "text.mat: cannot be read as a MATLAB file"),
    ("w.weights", "unknown kind of weights file '.weights'. Known: .safetensors"),
    ("w.tar", "unknown kind of weights file '.tar'. Known: .safetensors"),
    ("gone.safetensors", "gone.safetensors: no such weights file"),
    ("broken.pth", "broken.pth: no such weights file"),
]


@pytest.mark.parametrize("name, message", BAD)
def test_bad_files_are_refused_in_one_line_wherever_they_are_given(refused, name, message):
    put_bad_files()
    before = sorted(os.listdir())
    for arguments in (
        ("weights", "import", name, "--out", "out.safetensors"),
        ("weights", "export", name, "out.safetensors"),
        ("doctor", "--weights", name),
        ("bench", "digits", "--offline", "--net", name),
    ):
        assert message in refused(*arguments)
    assert sorted(os.listdir()) == before


@pytest.mark.parametrize("name", ["text.pth", "code.pth", "code.pt"])
def test_torch_files_that_hold_more_than_tensors_are_refused(refused, name):
    put_bad_files()
    line = refused("weights", "import", name, "--net", NET, "--out", "out.safetensors")
    assert f"{name}: " in line and ("refused" in line or "holds no table of named tensors" in line)
    assert not Path("exploded").exists() and not Path("out.safetensors").exists()
    line = refused("weights", "import", name, "--out", "out.safetensors")
    assert f"{name}: does not say which net" in line
    assert f"{name}: " in refused("doctor", "--weights", f"{NET}@{name}")
    assert not Path("exploded").exists()


def test_inspect_of_weights_without_a_card_or_damaged(refused):
    put_bad_files()
    torch.save({"a": torch.ones(1)}, "bare.pth")
    assert "bare.pth: has no card" in refused("inspect", "bare.pth")
    assert "text.mat: cannot be read as a MATLAB" in refused("inspect", "text.mat")
    assert "gone.caffemodel: no such weights file" in refused("inspect", "gone.caffemodel")


@pytest.mark.parametrize(
    "net, out, message",
    [
        ("w.safetensors", "w.safetensors", "w.safetensors: is there already"),
        ("w.safetensors", "x.h5", "unknown format '.h5'. Known: .safetensors, .pth"),
        ("w.safetensors", "x", "unknown format ''"),
        ("w.safetensors", "w.tar/x.pth", "w.tar"),
        (
            "squeezenet1_0@random:0",
            "x.caffemodel",
            "cannot be written for Caffe: squeezenet1_0 is not of the family",
        ),
        ("squeezenet1_0@random:0", "x.mat", "squeezenet1_0 is not of the family A to E"),
        (f"{NET},std=2/2/2@random:0", "x.caffemodel", "divided by (2.0, 2.0, 2.0), and its files"),
        (f"{NET},std=2/2/2@random:0", "x.mat", "divided by (2.0, 2.0, 2.0), and its files"),
        ("vgg18@random:0", "x.pth", "Unknown network 'vgg18'. Did you mean 'vgg1"),
        ("vgg16@caffe", "x.pth", "nothing may be fetched"),
        ("program.pt", "x.safetensors", "program.pt: a net in a file, not weights"),
        ("program.pt", "x.onnx", "program.pt: a net in a file, not weights"),
    ],
)
def test_what_cannot_be_exported_is_one_line(refused, net, out, message):
    put_bad_files()
    if net == "program.pt":
        with warnings.catch_warnings(action="ignore"):  # TorchScript is deprecated
            torch.jit.save(torch.jit.script(torch.nn.Conv2d(3, 2, 3)), net)
    before = set(os.listdir())
    assert message in refused("weights", "export", net, out, "--offline")
    assert set(os.listdir()) - before <= {f"{net}.sha256"}  # of a file that has no checksums


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("weights", "lst"), "Did you mean 'ls'"),
        (("weights", "import"), "Missing argument 'FILE'"),
        (("weights", "import", "a folder"), "'a folder' is a directory"),
        (("weights", "import", "w.safetensors", "--nett", NET), "--net"),
        (("weights", "export", "w.safetensors"), "Missing argument 'FILE'"),
        (("weights", "export", "w.safetensors", "a folder"), "is a directory"),
        (("doctor", "--picture", "p.png"), "--picture needs a net: --weights NET"),
        (("doctor", "w.safetensors"), "unexpected extra argument"),
        (("doctor", "--weights", "w.safetensors", "--picture", "a folder"), "is a directory"),
    ],
)
def test_wrong_usage_is_status_2_and_says_what_is_right(run, arguments, message):
    put_bad_files()
    result = run(*arguments)
    assert result.exit_code == 2 and message in result.stderr


def test_import_refuses_what_does_not_fit(refused):
    put_bad_files()
    to = ("--out", "a.safetensors")
    line = refused("weights", "import", "w.safetensors", "--net", "vgg13", *to)
    assert f"w.safetensors: holds weights of {NET}" in line
    line = refused("weights", "import", "w.safetensors", "--net", "vgg31", *to)
    assert "Unknown network 'vgg31'" in line
    line = refused("weights", "import", "w.safetensors", "--out", "a.pth")
    assert "a.pth: the native format is .safetensors" in line
    line = refused("weights", "import", "w.safetensors", "--prototxt", "w.bin", *to)
    assert "a .prototxt describes .caffemodel files only" in line
    assert "w.safetensors: is there already" in refused("weights", "import", "w.safetensors")


def test_a_stale_card_is_told(refused, run):
    write_net(Path("w.safetensors"))
    run("weights", "export", "w.safetensors", "w.pth")
    torch.save(load_file("w.safetensors"), "w.pth")
    for arguments in (("doctor", "--weights", "w.pth"), ("inspect", "w.pth"),
                      ("weights", "import", "w.pth", "--out", "a.safetensors")):  # fmt: skip
        assert "w.pth.card.json: is not the card of w.pth as it is now" in refused(*arguments)


def test_doctor_names_the_likeliest_classes(run, refused):
    write_net(Path("w.safetensors"))
    picture = write_picture(Path("my cat.png"))
    result = run("doctor", "--weights", "w.safetensors", "--picture", picture)
    lines = result.stdout.splitlines()[-5:]
    assert result.exit_code == 0 and {line.split()[1] for line in lines} <= {*CLASSES}
    shares = [float(line.split()[0].rstrip("%")) for line in lines]
    assert shares == sorted(shares, reverse=True) and 0 < sum(shares) <= 100.1
    line = refused("doctor", "--weights", "w.safetensors", "--picture", "gone.png")
    assert "gone.png: no such picture" in line
    line = refused("doctor", "--weights", "w.safetensors", "--picture", "w.safetensors")
    assert "w.safetensors: cannot be read as a picture" in line
    assert "Unknown network 'w.safetensor'" in refused("doctor", "--weights", "w.safetensor")


def test_doctor_alone_describes_the_machine(run, home):
    result = run("doctor")
    assert result.exit_code == 0 and str(home / "data") in result.stdout
    assert "elsewhere" in run("doctor", "--cache-dir", "elsewhere").stdout


@pytest.mark.parametrize("name", ["w.caffemodel", "my net+w.caffemodel", "vgg11+x.mat"])
def test_nets_from_other_programs_are_measured(run, caltech_dir, name):
    write_net(Path("w.safetensors"))
    assert run("weights", "export", "w.safetensors", name).exit_code == 0
    arguments = ("--data-dir", caltech_dir, "--scales", "32", "--splits", "1", "--format", "json")
    records = []
    for net in ("w.safetensors", name):
        result = run("bench", "caltech101", "--net", net, *arguments, "--out", f"of {net}")
        assert result.exit_code == 0, result.stderr
        records += json.loads(result.stdout)
    assert records[0]["metrics"] == records[1]["metrics"]


def test_imported_weights_are_evaluated(run):
    root = Path("pictures")
    for number, name in enumerate(CLASSES):
        for i in range(2):
            write_picture(root / "val" / name / f"{i}.png", seed=10 * number + i)
    write_net(Path("w.safetensors"))
    results = []
    for name in ("w.caffemodel", "w.mat", "w.pth"):
        assert run("weights", "export", "w.safetensors", name).exit_code == 0
        assert run("weights", "import", name, "--out", f"{name}.safetensors").exit_code == 0
        result = run(
            "evaluate", "--net", f"{name}.safetensors", "--data", root, "--scales", "40",
            "--out", f"of {name}", "--format", "json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        (record,) = json.loads(result.stdout)
        results.append(record["metrics"])
    assert formats.read_card(Path("w.mat")).classes == CLASSES
    assert results[0] == results[1] == results[2]


def test_a_file_without_checksums_that_changed_is_told_by_verify(run, tmp_path):
    """As after one flipped bit: whole, and another net."""
    path = write_net(tmp_path / "foreign.safetensors", seed=1)
    assert run("weights", "verify", path).exit_code == 0
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    again = run("weights", "verify", path)
    assert again.exit_code == 1 and "1 of 1 are not as they should be" in again.stderr
    assert f"{path}: damaged, is not the file that was seen first" in again.stdout
