"""How far one has to read to follow `--net` to a loaded net: at most 8 files of this project."""

import sys
from pathlib import Path

import pytest
from helpers.net_files import write_net

import vggfeat
from vggfeat.backbones.load import load_network
from vggfeat.backbones.spec import NetSpec
from vggfeat.weights.checkpoint import read, read_card, write

PROJECT = Path(vggfeat.__file__).parent
MOST_FILES = 8  # two more than before files carried checksums and came from trainers


def files_entered(function):
    """The project's files in which a call of the function runs code, and what it gives."""
    files = set()

    def note(frame, event, _):
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PROJECT):
            files.add(path.relative_to(PROJECT).as_posix())

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        result = function()
    finally:
        sys.setprofile(before)
    return files, result


def loaded(text):
    """From the text of `--net` to the net with its weights."""
    network = load_network(NetSpec.parse(text))
    return network, network.net()


def test_a_net_of_the_paper_with_random_weights_takes_few_files():
    files, (network, _) = files_entered(lambda: loaded("vgg16:width=0.0625,input_size=32@random:0"))
    assert network.name == "vgg16:width=0.0625,input_size=32"
    assert len(files) <= MOST_FILES, sorted(files)


@pytest.mark.parametrize("options", ["", ":layer=conv5_1,view=centre"])
def test_a_file_that_says_its_net_takes_few_files(tmp_path, options):
    card = read_card(made := write_net(tmp_path / "made.safetensors", name="vgg16"))
    write(path := tmp_path / "w.safetensors", read(made), card)  # as the program writes them
    files, (network, _) = files_entered(lambda: loaded(f"{path}{options}"))
    assert network.card is not None and network.spec.width == 0.0625
    assert len(files) <= MOST_FILES, sorted(files)


def test_the_text_of_a_net_is_read_once(monkeypatch):
    texts = []
    parse = NetSpec.parse.__func__
    monkeypatch.setattr(
        NetSpec, "parse", classmethod(lambda cls, text: texts.append(text) or parse(cls, text))
    )
    network = load_network("vgg16:width=0.0625,input_size=32,layer=fc6@random:0")
    network.net()
    assert network.label == "vgg16:width=0.0625,input_size=32,layer=fc6@random:0"
    assert texts == ["vgg16:width=0.0625,input_size=32,layer=fc6@random:0"]
