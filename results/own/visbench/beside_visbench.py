"""vggfeat beside visbench on one folder of pictures and one net: accuracy, and seconds.

    python beside_visbench.py FOLDER SQUEEZENET.safetensors OUT.json

Runs in an environment that has visbench (pip install visbench) and vggfeat. The folder is split
three times as `vggfeat bench FOLDER` does; visbench, which chooses nothing on held-out pictures,
trains on training and validation pictures together. Each has its own protocol. visbench: shortest
side 256, centre crop of 224, map averaged, a linear layer trained by AdamW for 200 epochs at one
rate. vggfeat: the whole picture at 256 and mirrored, map averaged, L2, a probe whose
hyper-parameter is chosen on validation pictures. Both extract first; then each computes its numbers
of the three splits from its own store, in turns.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
import torchvision
import visbench
from safetensors.torch import load_file
from torchvision import transforms
from visbench.backbones.custom import CustomBackbone
from visbench.cache.feature_cache import FeatureCache
from visbench.data.image_folder import ImageFolderDataset
from visbench.runner import run

from vggfeat import load_benchmark, load_network, sample_ids

ROUNDS = 3
PROBES = ("svm", "logistic", "ridge")


def visbench_net(weights: Path) -> CustomBackbone:
    net = torchvision.models.squeezenet1_0()
    net.load_state_dict(load_file(weights))
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )

    def features(module, images):
        maps = module(images)
        return maps.flatten(2).transpose(1, 2), None, tuple(maps.shape[-2:])

    return CustomBackbone(
        net.features.eval(), prepare, "squeezenet1_0", 512, feature_fn=features, device="cpu"
    )


def visbench_sets(root: Path, splits, scratch: Path) -> list:
    """A validation and a training set of visbench's for each split, made of links."""
    sets = []
    for number, split in enumerate(splits):
        parts = {"train": (*split.train, *split.validation), "val": split.test}
        for side, ids in parts.items():
            for i in ids:
                link = scratch / f"split{number}" / side / i
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to((root / i).resolve())
        folder = scratch / f"split{number}"
        sets.append([ImageFolderDataset(folder / side, split=side) for side in ("val", "train")])
    return sets


def by_visbench(backbone, sets, cache) -> dict[str, list[float]]:
    numbers = {"accuracy": [], "mean_class_recall": [], "accuracy_on_training": []}
    for seed, (test, train) in enumerate(sets):
        result = run(
            backbone,
            "classification",
            test,
            train_dataset=train,
            cache=cache,
            seed=seed,
            device="cpu",
        )
        truth = torch.tensor(test.labels())
        rows = cache.extract_dataset(backbone, test)
        pooled = rows["pooled"] if isinstance(rows, dict) else rows
        hits = result.probe.logits(pooled).argmax(1) == truth
        recalls = [hits[truth == k].float().mean().item() for k in truth.unique()]
        numbers["accuracy"].append(result.metrics["top1"])
        numbers["mean_class_recall"].append(statistics.mean(recalls))
        numbers["accuracy_on_training"].append(result.probe.train_top1)
    return numbers


def by_vggfeat(benchmark, network, probe: str, store: Path) -> dict[str, list[float]]:
    record = benchmark.run([network], benchmark.settings(probe=probe), features_dir=store)
    return {name: record.metrics[name]["per_split"] for name in ("accuracy", "mean_class_recall")}


def main() -> None:
    root, weights, out = (Path(argument).resolve() for argument in sys.argv[1:4])
    benchmark = load_benchmark(root)
    network = load_network(f"squeezenet1_0@{weights}")
    backbone = visbench_net(weights)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        store, cache = scratch / "vggfeat", FeatureCache(scratch / "visbench")
        sets = visbench_sets(root, sample_ids(benchmark), scratch)
        contenders = {"visbench": lambda: by_visbench(backbone, sets, cache)}
        for probe in PROBES:
            contenders[probe] = lambda probe=probe: by_vggfeat(benchmark, network, probe, store)
        lines = {}
        for name, measure in contenders.items():  # the first time with the extraction
            started = time.perf_counter()
            numbers = measure()
            seconds = round(time.perf_counter() - started, 2)
            lines[name] = numbers | {"seconds_first": seconds, "seconds": []}
        for _ in range(ROUNDS):
            for name, measure in contenders.items():
                started = time.perf_counter()
                measure()
                lines[name]["seconds"].append(round(time.perf_counter() - started, 2))
    facts = {
        "command": f"python beside_visbench.py {root.name} {weights.name} {out.name}",
        "pictures": len(benchmark.ids),
        "classes": len(benchmark.classes),
        "tested": [len(split.test) for split in benchmark.splits],
        "threads": torch.get_num_threads(),
        "cpus": os.cpu_count(),
        "versions": {"visbench": visbench.__version__, "torch": torch.__version__},
        "contenders": lines,
    }
    out.write_text(json.dumps(facts, indent=1) + "\n")
    print(json.dumps(lines, indent=1))


main()
