"""The public names: one list, typed throughout, as an editor and mypy see them."""

import ast
import inspect
import subprocess
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path

import pytest

import vggfeat

ROOT = Path(__file__).resolve().parents[1]

SCRIPT = """
import numpy as np
import vggfeat
from vggfeat import Extraction, VGGFeatures, bench, compare, extract, load_features, load_network

network = load_network("vgg16")
extracted = extract("mine", {"a": "a.jpg"}, "vgg16", Extraction(scales=256), folder="features")
extract("mine", {"a": "a.jpg"}, network, Extraction(scales=[256, 384]), folder="features")
reveal_type(vggfeat.__version__)  # str
reveal_type(network.label)  # str
reveal_type(extracted.path)  # pathlib.Path
reveal_type(compare("a.json", "b.json").difference)  # float
reveal_type(load_features("f.h5", as_frame=False)[0])  # list[str]
reveal_type(vggfeat.store.read("f.h5", ["a"], 256).shape)  # tuple[Any, ...]
reveal_type(vggfeat.open_features("f.h5").ids(0, 2))  # list[str]
reveal_type(vggfeat.load_probe("p").predict(["a.jpg"]).best)  # list[str]
reveal_type(vggfeat.load_benchmark("digits").run("vgg16", folder="features").metric)  # str
reveal_type(vggfeat.sample_ids(vggfeat.load_benchmark("digits"))[0].train)  # tuple[str, ...]
reveal_type(vggfeat.bench_features(np.zeros((2, 2)), ["a", "b"]).limited)  # bool
results = bench("digits", ["vgg16", ("vgg16", network)], scales=(32, 48), precision="fp32")
reveal_type(results.records[0].method)  # str
reveal_type(results.table().columns)  # tuple[str, ...]
reveal_type(VGGFeatures(network, scales=256).transform(["a.jpg"]).ndim)  # int
bench("digits", "vgg16", scale=32)  # error: Unexpected keyword argument "scale" for "bench"
bench("digits", "vgg16", num_splits="3")  # error: Argument "num_splits" to "bench"
VGGFeatures(scales="256")  # error: Argument "scales" to "VGGFeatures"
vggfeat.extrct  # error: Module has no attribute "extrct"
extract("mine", {}, 3, Extraction(scales=256))  # error: Argument 3 to "extract"
Extraction(scales="256")  # error: Argument "scales" to "Extraction"
"""


def names_for_type_checkers() -> set[str]:
    tree = ast.parse(Path(vggfeat.__file__).read_text())
    (block,) = (node.body for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block if isinstance(node, ast.ImportFrom)]
    assert all(alias.name == alias.asname for node in imports for alias in node.names)
    return {alias.name for node in imports for alias in node.names}


def test_type_checkers_see_the_names_that_can_be_imported():
    assert names_for_type_checkers() == set(vggfeat.__all__)
    assert set(dir(vggfeat)) == {*vggfeat.__all__, "__version__"}
    assert (Path(vggfeat.__file__).parent / "py.typed").is_file()


def test_type_checkers_see_every_option_of_an_extraction():
    """Its `__init__` is written out for them, as one scale may stand alone."""
    tree = ast.parse(inspect.getsource(vggfeat.Extraction))
    (init,) = (n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) and n.name == "__init__")
    seen = [argument.arg for argument in init.args.kwonlyargs]
    assert seen == [field.name for field in fields(vggfeat.Extraction)]


@pytest.mark.parametrize("name", vggfeat.__all__)
def test_a_public_callable_says_what_it_takes_and_returns(name):
    public = getattr(vggfeat, name)
    callables = {name: public} if inspect.isfunction(public) else {}
    for member, value in vars(public).items() if inspect.isclass(public) else ():
        value = getattr(value, "__func__", getattr(value, "fget", value))
        if inspect.isfunction(value) and not member.startswith("_"):
            callables[f"{name}.{member}"] = value
    for label, function in callables.items():
        signature = inspect.signature(function)
        assert signature.return_annotation is not signature.empty, label
        for parameter in signature.parameters.values():
            is_typed = parameter.annotation is not parameter.empty
            assert is_typed or parameter.name in ("self", "cls"), f"{label}: {parameter.name}"
        assert function.__doc__, label


def test_the_store_can_be_used_after_importing_vggfeat_alone():
    code = "import vggfeat; print(vggfeat.store.read.__name__)"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (result.stdout, result.stderr) == ("read\n", "")


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("mypy"), reason="mypy is not here")
def test_mypy_knows_the_types_of_the_public_names(tmp_path):
    """Of the package as it is installed, in one folder; torch is taken as it comes."""
    package = tmp_path / "vggfeat"
    package.mkdir()
    for path in (ROOT / "vggfeat").iterdir():
        (package / path.name).symlink_to(path)
    for name in ("benchmarks", "pretraining"):
        (package / name).symlink_to(ROOT / name)
    (tmp_path / "mypy.ini").write_text(
        "[mypy]\nstrict = True\n[mypy-vggfeat.*]\nfollow_imports = silent\n"
        "[mypy-torch.*,torchvision.*,sklearn.*,pandas.*,h5py.*]\nfollow_imports = skip\n"
    )
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "mypy", "--config-file", "mypy.ini", "script.py"]
    told = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True).stdout
    lines = told.splitlines()
    for number, line in enumerate(SCRIPT.splitlines(), start=1):
        code, _, expected = line.partition("  # ")
        said = [text for text in lines if text.startswith(f"script.py:{number}:")]
        if expected.startswith("error: "):
            assert said and expected in said[0], line
        elif expected:
            assert said == [f'script.py:{number}: note: Revealed type is "{expected}"'], line
        else:
            assert not said, line
