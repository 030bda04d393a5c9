"""The subjects among vggfeat's own files and weights: records, features, checkpoints, nets."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

from torture import mutations
from torture.subjects import Subject, subject

ROOT = Path(__file__).resolve().parents[2]


@subject("published CSV")
def published(folder: Path) -> Subject:
    from vggfeat.report.published import PUBLISHED, read_rows

    path = folder / "published.csv"
    lines = PUBLISHED.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(lines[:6]), encoding="utf-8")
    return Subject([path], mutations.of_text, lambda: read_rows(path))


@subject("records JSON")
def records(folder: Path) -> Subject:
    from helpers.records import classified, make_record, net

    from vggfeat.records import record
    from vggfeat.report import ilsvrc_grid, ilsvrc_tables, sweep, transfer
    from vggfeat.report.frame import read_results
    from vggfeat.report.render import RENDERERS, render

    made = make_record(notes=["a note"], seconds={"extract": 1.5, "fit": 2.0}, skipped={"a": "b"})
    files = [record.write(made, folder / "a"), record.write(classified(net()), folder / "b")]

    def read():
        compared = record.read_all(folder / "a")
        transfer_tables = (transfer.table(transfer.compare(compared)), sweep.tables(compared))
        on_ilsvrc = [r for r in record.read_all(folder / "b") if "ilsvrc" in r.benchmark]
        tables = [*transfer_tables, ilsvrc_tables.tables(on_ilsvrc), ilsvrc_grid.tables(on_ilsvrc)]
        for form in RENDERERS.keys() - {"latex"}:
            for table in tables:
                render(table, form)
        for name in ("a", "b"):
            read_results(folder / name)
        [record.to_json(r) + r.timing for r in compared + on_ilsvrc]

    return Subject(files, mutations.of_json, read)


@subject("training records")
def training_records(folder: Path) -> Subject:
    from vggfeat.report.render import render
    from vggfeat.report.training import read_training_records, table

    path = folder / "vgg16-384.json"
    path.write_bytes((ROOT / "results/pretraining/runs/vgg16-384.json").read_bytes())
    (folder / "other.json").write_bytes(path.read_bytes())
    return Subject(
        [path], mutations.of_json, lambda: render(table(read_training_records(folder)), "table")
    )


@subject("records of speed")
def speed_records(folder: Path) -> Subject:
    from vggfeat.benchmarks.speed import record, tables

    source = next((ROOT / "results/speed").glob("*/cpu.json"))
    path = folder / source.parent.name / source.name
    path.parent.mkdir()
    path.write_bytes(source.read_bytes())
    return Subject(
        [path],
        mutations.of_json,
        lambda: tables.render(record.read_all(folder), "table"),
    )


@subject("feature files")
def feature_files(folder: Path) -> Subject:
    import h5py
    import numpy as np

    from vggfeat.features import store
    from vggfeat.storage import hdf5

    hdf5.CPU_SECONDS = 1.0  # as many of its files are circular
    path, ids = folder / "f.h5", ["a.jpg", "b/ü.jpg", "c.jpg"]
    conditions = store.Conditions(
        dataset="d", network="vgg11", weights="random:0", layer="fc7", scales=(32, 48),
        mirror=True, mean=(1.0, 2.0, 3.0), std=(1.0, 1.0, 1.0), decoder="Pillow", exif=False,
        resize_filter="bilinear", precision="fp32", dtype="float32",
    )  # fmt: skip
    arguments = {
        "dim": 4, "file_bytes": dict.fromkeys(ids, 9), "weights_name": "random:0",
        "versions": {"torch": "1"},
    }  # fmt: skip
    with store.FeatureWriter(path, conditions, **arguments) as file:
        file.write(ids, np.ones((3, 2, 4), np.float32), [(8, 6)] * 3, [9] * 3)

    unsealed = folder / "g.h5"  # as older files are: nothing that was changed gets past the seal
    unsealed.write_bytes(path.read_bytes())
    with h5py.File(unsealed, "r+") as file:
        file.attrs["schema_version"] = 1
    unsealed.write_bytes(bytes(128) + unsealed.read_bytes()[128:])

    def read():
        store.find(folder, "f", conditions, dict.fromkeys(ids, 9))
        for changed in (path, unsealed):
            content = changed.read_bytes()
            store.inspect(changed)
            store.lacking(changed, dict.fromkeys(ids, 9))
            store.read(changed, ids, (48,))
            store.read_sizes(changed, ids)
            with store.FeatureWriter(changed, conditions, **arguments):
                pass
            changed.write_bytes(content)

    return Subject([path, unsealed, unsealed, unsealed], mutations.of_hdf5, read)


@subject("scores")
def scores(folder: Path) -> Subject:
    import numpy as np

    from vggfeat.records.scores import Scores, read_scores, write_scores
    from vggfeat.storage import hdf5

    hdf5.CPU_SECONDS = 1.0
    path = folder / "r.scores.h5"
    table = np.array([[1, -1], [-1, 1], [1, 0]])
    write_scores(
        path,
        Scores(
            ids=("a", "b", "ü"), splits=np.array([0, 0, 1]), labels=table, scores=table * 0.5,
            classes=("x", "y"),
        ),
    )  # fmt: skip
    return Subject([path], mutations.of_hdf5, lambda: read_scores(path))


@subject("predictions")
def predictions(folder: Path) -> Subject:
    import numpy as np
    from helpers.net_files import CLASSES

    from vggfeat.benchmarks.ilsvrc import predictions

    net = {
        "name": "vgg16", "weights": "a.safetensors", "weights_sha256": "ab", "posteriors": [],
        "train_scale": "256", "scales": [256], "images_per_s": {"dense": 1.5},
    }  # fmt: skip
    about = predictions.About(
        title="t", data="digest", limited=False, classes=list(CLASSES), view="dense", nets=[net],
        ids=["1.jpg", "2.jpg"], skipped={"3.jpg": "broken"}, notes=["a note"],
    )  # fmt: skip
    path, other = folder / "a.safetensors", folder / "b.safetensors"
    posteriors = np.full((2, len(CLASSES)), 1 / len(CLASSES))
    for file in (path, other):
        about = replace(about, nets=[net | {"name": file.stem}])
        predictions.write(file, predictions.Predictions(about, posteriors, np.array([0, 1])))
    return Subject([path], mutations.of_safetensors, lambda: predictions.fuse([path, other]))


def _net(name: str = "vgg11"):
    from vggfeat import vgg
    from vggfeat.weights.checkpoint import Card

    net = vgg.build(name, width=0.0625, input_size=32, num_classes=3)
    vgg.initialise(net, "glorot", seed=0)
    recipe = {"scales": [256, 512], "regressor": None, "published": [1.0, 2.0]}
    training = {"recipe": recipe, "data": {"digest": "ab"}, "imported": {"file": "x"}}
    card = Card(
        net=f"{name}:width=0.0625,input_size=32", classes=("a", "b", "c"), mean=(1.0, 2.0, 3.0),
        std=(1.0, 1.0, 1.0), training=training,
    )  # fmt: skip
    return net, card


def _weights(path: Path, mutate) -> Subject:
    """A file of each format, read as `--net FILE` reads it."""
    from vggfeat.backbones.load import load_network
    from vggfeat.weights import formats

    net, card = _net()
    formats.write(path, net.state_dict(), card)

    def read():
        formats.read_card(path)
        network = load_network(str(path))
        network.net  # noqa: B018 (builds it)
        return network.classes, network.original

    return Subject([path], mutate, read)


@subject(".safetensors")
def safetensors(folder: Path) -> Subject:
    return _weights(folder / "w.safetensors", mutations.of_safetensors)


@subject(".pth")
def pth(folder: Path) -> Subject:
    import torch

    from vggfeat.weights import formats

    files = [folder / "zip.pth", folder / "old.pth"]
    tensors = {"a.weight": torch.ones(3, 2), "a.bias": torch.zeros(3), "n": torch.tensor(5)}
    torch.save({"state_dict": tensors}, files[0])
    torch.save(tensors, files[1], _use_new_zipfile_serialization=False)
    return Subject(files, mutations.of_bytes, lambda: [formats.read(path) for path in files])


@subject("cards beside files")
def cards_beside(folder: Path) -> Subject:
    subject = _weights(folder / "w.pth", mutations.of_json)
    mutate = partial(mutations.of_json, seal="card_sha256")
    return Subject([folder / "w.pth.card.json"], mutate, subject.read)


@subject("ONNX")
def onnx(folder: Path) -> Subject:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper, save

    from vggfeat.backbones.exported.onnx_graph import load_whole, open_onnx
    from vggfeat.weights.onnx import KEYS, read, read_card

    nodes = [
        helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("GlobalAveragePool", ["z"], ["output"]),
    ]
    graph = helper.make_graph(
        nodes, "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 8, 8])],
        [helper.make_tensor_value_info("output", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(model, {**_net()[1].metadata(), KEYS: json.dumps(["w"])})
    path = folder / "n.onnx"
    save(model, path)

    def steps():
        read_card(path)
        read(path)
        load_whole(path)
        open_onnx(path)

    return Subject([path], mutations.of_bytes, steps)


def _mat(folder: Path, version: str, mutate) -> Subject:
    from helpers.mat_files import write

    from vggfeat.weights.matconvnet import mat_file, network
    from vggfeat.weights.matconvnet.writer import write as write_net

    net, card = _net()
    whole, small = folder / "net.mat", folder / "small.mat"
    write_net(whole, net.state_dict(), card)
    contents = mat_file.read(whole, ["layers", "meta"])
    write(whole, contents, version)
    write(small, {"x": {"a": [1.0, "text", [2.0]], "b": "more"}}, version)

    def read():
        mat_file.variables(small)
        mat_file.read(small, ["x"])
        network.read_card(whole)
        network.read(whole)

    return Subject([small, whole], mutate, read)


@subject(".mat v5")
def mat_v5(folder: Path) -> Subject:
    return _mat(folder, "5", mutations.of_bytes)


@subject(".mat v7")
def mat_v7(folder: Path) -> Subject:
    return _mat(folder, "7", mutations.of_bytes)


@subject(".mat v7.3")
def mat_v73(folder: Path) -> Subject:
    from vggfeat.storage import hdf5

    hdf5.CPU_SECONDS = 1.0
    return _mat(folder, "7.3", mutations.of_bytes)


@subject("caffemodel")
def caffemodel(folder: Path) -> Subject:
    subject = _weights(folder / "w.caffemodel", mutations.of_bytes)
    (folder / "w.caffemodel.card.json").unlink()  # it has the digest of the sound file
    return subject


@subject("prototxt")
def prototxt(folder: Path) -> Subject:
    from vggfeat.weights import formats
    from vggfeat.weights.caffe.prototxt import check_prototxt

    net, card = _net()
    path = folder / "w.caffemodel"
    formats.write(path, net.state_dict(), card)
    return Subject(
        [path.with_suffix(".prototxt")],
        mutations.of_text,
        lambda: check_prototxt(path, path.with_suffix(".prototxt")),
    )


@subject("training checkpoints")
def training_checkpoints(folder: Path) -> Subject:
    import torch

    from vggfeat.pretraining.checkpoints import resume, save_checkpoint
    from vggfeat.pretraining.position import Position
    from vggfeat.pretraining.schedule import Schedule

    net = torch.nn.Linear(2, 3)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net(torch.ones(1, 2)).sum().backward()
    optimiser.step()
    position = Position(
        schedule=Schedule(rate=0.1, drops_left=3, patience=2), epoch=1, step=7, loss=2.5, seen=4.0,
        curve=[{"epoch": 0, "top1": 0.5}], unreadable=["a.jpg"],
    )  # fmt: skip
    begun = {"recipe": {"net": "vgg11", "scales": [256, 512]}, "data": "ab"}
    path = save_checkpoint(folder, net, optimiser, position, begun)

    def read():
        found = resume(folder, net, optimiser, begun)
        found.add(1.0, 2.0, 3.0)
        return found.mean_loss, found.schedule.after(0.5)

    return Subject([path], mutations.of_safetensors, read)
