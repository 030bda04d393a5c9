"""A question, as of 100 million pictures on 32 GPUs -> what it takes, and how that is known."""

import logging
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import torch

from vggfeat.backbones.load import load_network, yet_to_be_fetched
from vggfeat.backbones.network import Network
from vggfeat.backbones.spec import parse_fusion
from vggfeat.costs import rates as rate_files
from vggfeat.costs.calibration import calibrate
from vggfeat.costs.flops import count_forward
from vggfeat.costs.forward_calibration import batch_pixels_of
from vggfeat.costs.model import Estimate, Machines, estimate
from vggfeat.costs.question import Question
from vggfeat.costs.rates import Rates
from vggfeat.costs.work import NUM_CROPS, PictureWork, work_of
from vggfeat.errors import DownloadError, OptionError, PictureError
from vggfeat.features.conditions import check_scales
from vggfeat.features.options import Extraction
from vggfeat.features.views import is_square, sees_crops
from vggfeat.images import (
    MAX_RESCALED_PIXELS,
    Picture,
    picture_bytes,
    picture_size,
    rescaled_size,
)

log = logging.getLogger(__name__)

# ILSVRC-2012's training set: 138 GB in 1.28 million files, most of 500 x 375.
USUAL_SIZE, USUAL_BYTES = (500, 375), 108_000
USUAL_CORES = 8  # for each GPU, where nobody says
USUAL_UTILISATION = 0.4  # of a GPU's stated speed, where nobody says
NUM_SAMPLED = 512  # pictures whose sizes are read: as many as go into a part


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a job takes; `sources` say in words where each stage's rate is from."""

    question: Question
    network: Network
    rates: Rates
    estimate: Estimate
    flops: int | None  # a picture; None: the net cannot be counted
    sources: Mapping[str, str]  # stage -> words
    assumptions: Sequence[str]
    headline: str

    @property
    def energy_kwh(self) -> float | None:
        """Kilowatt hours of the devices; None unless their watts are given."""
        watts = self.question.watts
        return None if watts is None else watts * self.estimate.device_hours / 1000

    @property
    def cost(self) -> float | None:
        """The price of the device hours; None unless that of one is given."""
        price = self.question.price
        return None if price is None else price * self.estimate.device_hours

    @property
    def disk_cost(self) -> float | None:
        """The price of the disk a month; None unless that of a TB is given."""
        price = self.question.disk_price
        return None if price is None else price * self.estimate.disk_bytes / 1e12


def answer(question: Question, *, weights_dir: Path, folder: Path) -> Answer:
    """What the job takes. What is not given is measured: the disk is that of `folder`.

    Raises OptionError, UnknownNameError or the errors of `load_network`.
    """
    network = _network(question.net, weights_dir)
    options = question.options
    check_scales(network, options)
    sizes, source_bytes, assumptions = _pictures(question)
    if len(sizes) == 1:
        _check_fits(sizes[0], options, square=is_square(network))
    shares_machine = options.device == "cpu"
    if question.rates:
        rates = rate_files.load(question.rates, network.name, options.scales)
    else:
        log.info("measuring for about 20 seconds")
        num_processes = question.num_devices if shares_machine else 1
        with share_of_threads(num_processes):
            sample = dict(islice((question.pictures or {}).items(), NUM_SAMPLED))
            rates = calibrate(network, options, sizes, pictures=sample, folder=folder)
    device = "cpu" if question.speed_is_given else rates.device
    pixels = batch_pixels_of(device)
    work = work_of(network, options, sizes, source_bytes, batch_pixels=pixels)
    flops = flops_of(network, options, sizes)
    forward_s, forward_source = _forward(question, rates, work, flops, network)
    disk = rates.disk
    if question.read_mb_s:
        disk = replace(disk, read_bytes_s=question.read_mb_s * 1e6)
    if question.write_mb_s:
        disk = replace(disk, write_bytes_s=question.write_mb_s * 1e6)
    machines, cores_source = _machines(question, rates, forward_s)
    if cores_source:
        assumptions.append(cores_source)
    measured = "measured" if question.rates is None else question.rates.name
    return Answer(
        question=question,
        network=network,
        rates=rates,
        estimate=estimate(question.num_pictures, work, machines, rates.loading, disk),
        flops=flops,
        sources={
            "read": "given" if question.read_mb_s else measured,
            "decode": measured,
            "forward": forward_source,
            "store": measured,
            "write": "given" if question.write_mb_s else measured,
        },
        assumptions=[*assumptions, *_always_assumed(machines)],
        headline=_headline(question, rates),
    )


def flops_of(network: Network, options: Extraction, sizes: Sequence[tuple[int, int]]) -> int | None:
    """Operations of the net a picture, at all scales; None for a net that cannot be counted."""
    usual = sorted(sizes, key=lambda size: size[0] * size[1])[len(sizes) // 2]
    side, total = network.backbone.input_size, 0
    views = NUM_CROPS.get(network.backbone.view, 1) * (2 if options.mirror else 1)
    try:
        for scale in options.scales:
            width, height = rescaled_size(usual, scale, square=is_square(network))
            if sees_crops(network):
                width = height = side
            total += views * count_forward(network.maps, (1, 3, height, width))
    except Exception as error:  # code of others, of which "meta" tensors ask much
        log.debug("%s: operations are not counted: %s", network.label, error)
        return None
    return total


def _network(net: str, weights_dir: Path) -> Network:
    """The net; with random weights where its own are not here, as they do not change its speed."""
    specs = parse_fusion(net)
    if len(specs) > 1:
        raise OptionError(
            f"{net}: a plan is of one net. Plan each by itself; hours and disk add up."
        )
    try:
        return load_network(specs[0], weights_dir=weights_dir, offline=True)
    except DownloadError:
        return yet_to_be_fetched(specs[0])


def _pictures(question: Question) -> tuple[list[tuple[int, int]], float, list[str]]:
    """Sizes, bytes a picture, and what is assumed of them."""
    if question.pictures:
        sizes, lengths = sampled(question.pictures, exif=question.options.exif)
        if question.picture_size:
            sizes = [question.picture_size]
        return sizes, question.picture_bytes or statistics.fmean(lengths), []
    size = question.picture_size or USUAL_SIZE
    area = size[0] * size[1] / (USUAL_SIZE[0] * USUAL_SIZE[1])
    length = question.picture_bytes or USUAL_BYTES * area
    assumptions = []
    if not question.picture_size:
        assumptions.append(
            f"pictures of {size[0]}x{size[1]} pixels, as most of ILSVRC's (--picture-size)"
        )
    if not question.picture_bytes:
        assumptions.append(f"{length / 1000:.0f} kB a picture, as ILSVRC's have (--picture-bytes)")
    return [size], length, assumptions


def _check_fits(size: tuple[int, int], options: Extraction, *, square: bool) -> None:
    """Raise OptionError at a size (width, height) that extraction refuses at one of the scales."""
    for scale in options.scales:
        if math.prod(rescaled_size(size, scale, square=square)) > MAX_RESCALED_PIXELS:
            raise OptionError(
                f"pictures of {size[0]}x{size[1]} at scale {scale} have more than"
                f" {MAX_RESCALED_PIXELS:,} pixels, which extraction refuses. Give smaller --scales"
                " or another --picture-size."
            )


def sampled(
    pictures: Mapping[str, Picture], *, exif: bool = False, most: int = NUM_SAMPLED
) -> tuple[list[tuple[int, int]], list[int]]:
    """Sizes and bytes of so many of the pictures, or all if they are fewer, evenly chosen.

    Raises PictureError if none can be read.
    """
    step = max(1, len(pictures) // most)
    sizes, lengths = [], []
    error = None
    for picture in islice(pictures.values(), 0, None, step):
        try:
            sizes.append(picture_size(picture, exif=exif))
            lengths.append(picture_bytes(picture))
        except PictureError as unreadable:
            error = unreadable  # extraction reports it
    if not sizes and error:
        raise error
    return sizes, lengths


def _forward(
    question: Question, rates: Rates, work: PictureWork, flops: int | None, network: Network
) -> tuple[float, str]:
    """Seconds of the net a picture and device, and where that is from."""
    if question.images_per_second is not None:
        return 1 / question.images_per_second, "given"
    if question.tflops is None:
        whose = "measured" if question.rates is None else question.rates.name
        return rates.forward_s(work), whose
    if not flops:
        raise OptionError(
            f"{network.name}: its operations cannot be counted, so that --tflops says nothing of"
            " it. Give --images-per-second."
        )
    used = question.utilisation or USUAL_UTILISATION
    origin = "given" if question.utilisation else "assumed"
    source = f"{used:.0%} ({origin}) of {question.tflops:g} TFLOP/s"
    return flops / (question.tflops * 1e12 * used), source


def _machines(question: Question, rates: Rates, forward_s: float) -> tuple[Machines, str]:
    """The devices and their cores, and what is assumed of these."""
    number, assumption = question.num_devices, ""
    is_cpu = rates.device == "cpu" and not question.speed_is_given
    if is_cpu and question.options.device == "cpu":
        cores = rates.cores
        if number > 1:
            assumption = f"{number} processes share the {cores} cores of one machine"
    elif is_cpu:
        cores = number * rates.cores
    elif question.cores:
        cores = number * question.cores
    elif rates.device != "cpu":
        cores = number * rates.cores
    else:
        cores = number * USUAL_CORES
        assumption = (
            f"{USUAL_CORES} cores for each GPU (--cores), as fast as those of {rates.machine}"
        )
    return Machines(
        num_devices=number, cores=cores, is_cpu=is_cpu, forward_s=forward_s, start_s=rates.start_s
    ), assumption


def _always_assumed(machines: Machines) -> list[str]:
    assumptions = ["one disk for all processes (--read-rate, --write-rate)"]
    if machines.is_cpu:
        assumptions.append("decoding and the net share the cores: their times add up")
    else:
        assumptions.append("stages overlap: the slowest decides")
    return assumptions


def _headline(question: Question, rates: Rates) -> str:
    """Whose speed the net's is, where it is not that of the devices asked for."""
    if question.speed_is_given or rates.device != "cpu" or question.options.device == "cpu":
        return ""
    hours = question.num_pictures / question.num_devices / 3600
    several = question.num_devices > 1
    each = f"each of the {question.num_devices} devices" if several else "the device"
    here = "this CPU's" if not question.rates else "a CPU's"
    none = "No GPU is here: the" if not question.rates else "The"
    return (
        f"{none} forward rate is {here} ({rates.machine}), and {each} counts as one such machine."
        f" With --images-per-second R of a GPU, forward takes {hours:,.4g} h / R instead."
    )


@contextmanager
def share_of_threads(num_processes: int) -> Iterator[None]:
    """A `with` block in which torch has as many threads as in one of so many processes here."""
    threads = torch.get_num_threads()
    torch.set_num_threads(max(1, threads // num_processes))
    try:
        yield
    finally:
        torch.set_num_threads(threads)
