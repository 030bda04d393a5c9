"""What people write to say how good a net's features are; a script: JOB.json OUT.json.

torchvision's transforms (shortest side 256, centre crop of 224), a DataLoader with two workers, the
net in fp32 on batches of 64, features in a numpy array, and scikit-learn's LinearSVC, whose C is
chosen on the validation pictures. Features that were stored before are not computed again.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file
from sklearn.metrics import balanced_accuracy_score
from sklearn.svm import LinearSVC
from torch import nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

BATCH, WORKERS = 64, 2
GRID = (0.01, 0.1, 1, 10, 100)


class Pictures(Dataset):
    """Pictures as the net takes them."""

    def __init__(self, paths: list[str], mean: list[float], std: list[float]):
        self.paths = paths
        self.transform = transforms.Compose(
            [
                transforms.Resize(256),
                transforms.CenterCrop(224),
                transforms.ToTensor(),
                transforms.Normalize([m / 255 for m in mean], [s / 255 for s in std]),
            ]
        )

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        with Image.open(self.paths[index]) as picture:
            return self.transform(picture.convert("RGB"))


def build(name: str, weights: str | None) -> nn.Module:
    """A net of timm or torchvision, which gives what goes into its classifier."""
    if name.startswith("timm/"):
        import timm

        net = timm.create_model(name.removeprefix("timm/"), pretrained=False)
    else:
        net = torchvision.models.get_model(name)
    if weights:
        net.load_state_dict(load_file(weights))
    if name.startswith("timm/"):
        net.reset_classifier(0)
    elif name.startswith("squeezenet"):
        net = nn.Sequential(net.features, nn.AdaptiveAvgPool2d(1), nn.Flatten())
    else:
        setattr(net, "fc" if hasattr(net, "fc") else "classifier", nn.Identity())
    return net.eval()


@torch.inference_mode()
def features_of(job: dict, paths: list[str]) -> np.ndarray:
    """Features [N, D] of length one."""
    net = build(job["net"], job["weights"])
    loader = DataLoader(Pictures(paths, job["mean"], job["std"]), BATCH, num_workers=WORKERS)
    features = torch.cat([net(images) for images in loader]).numpy()
    return features / np.linalg.norm(features, axis=1, keepdims=True)


def main() -> None:
    """Features, stored in the job's folder, then the classifier, then the number."""
    job = json.loads(Path(sys.argv[1]).read_text())
    parts = [job[part] for part in ("train", "validation", "test")]
    paths = [path for part in parts for path, _ in part]
    labels = np.array([label for part in parts for _, label in part])
    stored = Path(job["scratch"]) / "features.npy"
    if not stored.is_file():
        np.save(stored, features_of(job, paths))
    X = np.load(stored)
    ends = np.cumsum([len(part) for part in parts])
    train, validation, both = slice(0, ends[0]), slice(ends[0], ends[1]), slice(0, ends[1])
    best = max(
        GRID,
        key=lambda C: balanced_accuracy_score(
            labels[validation],
            LinearSVC(C=C).fit(X[train], labels[train]).predict(X[validation]),
        ),
    )
    predicted = LinearSVC(C=best).fit(X[both], labels[both]).predict(X[ends[1] :])
    recall = balanced_accuracy_score(labels[ends[1] :], predicted)
    Path(sys.argv[2]).write_text(json.dumps({"mean_class_recall": recall}))


if __name__ == "__main__":
    main()
