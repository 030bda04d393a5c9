"""Pictures to look at: class-score maps and predicted boxes."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vggfeat import images
from vggfeat.backbones.load import load_fusions
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import Fusion
from vggfeat.benchmarks.ilsvrc import localisation
from vggfeat.benchmarks.ilsvrc.box_measurement import is_hit
from vggfeat.benchmarks.ilsvrc.box_test_set import BoxTestSet
from vggfeat.benchmarks.ilsvrc.canvas import write_png
from vggfeat.benchmarks.ilsvrc.class_checks import check_predicts_classes
from vggfeat.benchmarks.ilsvrc.scales import scales_of
from vggfeat.benchmarks.ilsvrc.sheets import Cell, ScoreMap, box_sheet, score_map_sheet
from vggfeat.boxes import iou
from vggfeat.errors import DatasetError, NetworkError, OptionError
from vggfeat.features.conditions import check_scales
from vggfeat.features.forward import autocast_for, to_input
from vggfeat.features.options import Extraction
from vggfeat.features.requests import FeatureSets
from vggfeat.layouts.class_words import class_words
from vggfeat.progress import Progress
from vggfeat.storage.folders import Folders
from vggfeat.vgg import DenseVGG

NUM_CLASSES = 3  # the likeliest ones are drawn


def show_score_maps(
    nets: Sequence[Fusion],
    scales: Sequence[str],
    picture: Path,
    out: Path,
    places: Folders,
    options: Mapping[str, Any],
    *,
    offline: bool = False,
) -> Iterator[Path]:
    """Draw the likeliest classes of each net at all scales over a picture, to PNGs in `out`.

    options are those of Extraction. Raises VggfeatError.
    """
    decoded, number = images.decode(picture), 0
    for networks in load_fusions(nets, weights_dir=places.weights, offline=offline):
        lists = [scales_of(text, networks) for text in scales]
        for network, lists_of_net in zip(networks, zip(*lists, strict=True), strict=True):
            all_scales = tuple(dict.fromkeys(q for of_list in lists_of_net for q in of_list))
            for scale in all_scales:
                images.check_fits(picture, decoded.size, scale)
            sheet = score_map_sheet(decoded, list(_maps(network, picture, all_scales, options)))
            number += 1  # two nets of a fusion may be of one name
            path = out / f"{picture.stem}-{number}-{network.slug}.png"
            write_png(sheet, path)
            yield path


def show_boxes(job: localisation.Job, count: int, path: Path, progress: Progress) -> None:
    """Draw so many test pictures, evenly spread over the list, with their boxes, to a PNG.

    The job is of one fusion of nets, one list of scales and one view. Raises VggfeatError.
    """
    if path.suffix != ".png":
        raise OptionError(f"{path}: the sheet is a PNG; name a file that ends in .png.")
    (measurement,) = localisation.measurements(job)
    test_set = measurement.test_set
    ids = list(test_set.boxed.files)
    count = min(count, len(ids))
    chosen = replace(test_set, ids=[ids[n * len(ids) // count] for n in range(count)])
    features = FeatureSets(job.folders.features, progress)
    predicted = replace(measurement, test_set=chosen).predict(features, progress)
    if not predicted.boxes:
        raise DatasetError(f"{job.data}: no picture could be read.")
    words = class_words(test_set.boxed.pictures.classes, job.data)
    cells = [_cell(chosen, i, box, words) for i, box in predicted.boxes.items()]
    write_png(box_sheet(cells), path)


def _cell(test_set: BoxTestSet, picture_id: str, box: np.ndarray, words: Sequence[str]) -> Cell:
    """A picture of a sheet, with its predicted box [4] and the words of its class."""
    true_boxes, boxed = test_set.true_boxes[picture_id], test_set.boxed
    return Cell(
        picture=images.decode(boxed.files[picture_id]),
        true_boxes=[tuple(true_box) for true_box in true_boxes.tolist()],
        predicted=tuple(box.tolist()),
        title=words[boxed.labels[picture_id]],
        hit=is_hit(box, true_boxes),
        overlap=float(iou(box, true_boxes).max()),
    )


def _maps(
    network: Network, picture: Path, scales: tuple[int, ...], options: Mapping[str, Any]
) -> Iterator[ScoreMap]:
    extraction = Extraction(scales=scales, **options)
    check_predicts_classes(network)
    check_scales(network, extraction)
    module = network.output_map
    if not isinstance(module, DenseVGG) or network.spec.ceil_mode:
        raise NetworkError(f"{network.name}: score maps are drawn of the VGG nets only.")
    device = extraction.resolved_device
    module = module.to(device, memory_format=torch.channels_last)
    for scale, array in zip(scales, images.load_batch([picture], scales), strict=True):
        with autocast_for(device, extraction.resolved_precision):
            scores = module(to_input(array, network.statistics, device))[0].float().cpu()
        posteriors = torch.softmax(scores, dim=0).numpy()  # [K, h, w]
        whole = torch.softmax(scores.mean(dim=(1, 2)), dim=0).numpy()
        classes = class_words(network.card.classes) if network.card else ()
        for number in np.argsort(-whole, kind="stable")[:NUM_CLASSES]:
            name = classes[number] if classes else f"class {number}"
            yield ScoreMap(
                values=posteriors[number],
                scale=scale,
                window=network.backbone.input_size,
                title=f"posterior {whole[number]:.2f}, {name}",
            )
