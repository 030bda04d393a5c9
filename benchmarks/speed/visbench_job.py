"""The same question answered by visbench, in its own environment; a script: JOB.json OUT.json.

Its own protocol: shortest side 256, centre crop of 224, the map averaged, a linear layer trained by
AdamW for 200 epochs on training and validation pictures together. It has a store of its own.
"""

import json
import sys
from pathlib import Path

import torch
import torchvision
from safetensors.torch import load_file
from torch import nn
from torchvision import transforms
from visbench.backbones.custom import CustomBackbone
from visbench.cache.feature_cache import FeatureCache
from visbench.data.image_folder import ImageFolderDataset
from visbench.runner import run


def build(name: str, weights: str | None) -> nn.Module:
    """A net of timm or torchvision, up to its last map."""
    if name.startswith("timm/"):
        import timm

        net = timm.create_model(name.removeprefix("timm/"), pretrained=False)
    else:
        net = torchvision.models.get_model(name)
    if weights:
        net.load_state_dict(load_file(weights))
    if name.startswith("timm/"):
        net.forward = net.forward_features
        return net.eval()
    maps = net.features if hasattr(net, "features") else nn.Sequential(*list(net.children())[:-2])
    return maps.eval()


def backbone_of(job: dict) -> CustomBackbone:
    """The net as visbench takes it."""
    scaled = ([number / 255 for number in job[name]] for name in ("mean", "std"))
    prepare = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(*scaled),
        ]
    )

    def features(module, images):
        maps = module(images)
        return maps.flatten(2).transpose(1, 2), None, tuple(maps.shape[-2:])

    net = build(job["net"], job["weights"])
    return CustomBackbone(
        net, prepare, job["net"].replace("/", "_"), job["dim"], feature_fn=features, device="cpu"
    )


def dataset(folder: Path, pictures: list, split: str) -> ImageFolderDataset:
    """visbench's set of these pictures, made of links."""
    for path, label in pictures:
        link = folder / label / Path(path).name
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path)
    return ImageFolderDataset(folder, split=split)


def main() -> None:
    """Both sets through the net, unless they are in the store, then the classifier."""
    job = json.loads(Path(sys.argv[1]).read_text())
    scratch = Path(job["scratch"])
    backbone, cache = backbone_of(job), FeatureCache(scratch / "store")
    test = dataset(scratch / "val", job["test"], "val")
    train = dataset(scratch / "train", job["train"] + job["validation"], "train")
    result = run(
        backbone, "classification", test, train_dataset=train, cache=cache, seed=0, device="cpu"
    )
    truth = torch.tensor(test.labels())
    rows = cache.extract_dataset(backbone, test)
    pooled = rows["pooled"] if isinstance(rows, dict) else rows
    hits = result.probe.logits(pooled).argmax(1) == truth
    recalls = [hits[truth == label].float().mean().item() for label in truth.unique()]
    answer = {"mean_class_recall": sum(recalls) / len(recalls)}
    Path(sys.argv[2]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
