"""What this machine has for measuring: cores, memory, disks, GPU, torch, data; with advice."""

import importlib.util
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch

from vggfeat import devices, provenance
from vggfeat.benchmarks.datasets.registry import DATASETS, distributions
from vggfeat.busy_cores import busy_cores
from vggfeat.errors import reason_of
from vggfeat.features.cache_folder import KINDS, measured
from vggfeat.plurals import in_bytes
from vggfeat.storage.folders import Folders
from vggfeat.storage.sources import Source
from vggfeat.weights.released import ORIGINALS, TORCHVISION_FAMILY

OK, NOTE, MISSING = "ok", "note", "missing"  # states; a note is advice, nothing is broken
CPU_BUILD = "https://download.pytorch.org/whl/cpu"
CUDA_BUILDS = "https://pytorch.org/get-started"
LOW_MEMORY, LOW_DISK = 4e9, 20e9  # bytes; features of Caltech-256 at three scales are 1.5 GB a net
GIB = 2**30
EXTRAS = {
    "timm": (("timm",), "nets named timm/NAME"),
    "onnx": (("onnx", "onnxruntime", "onnxscript"), "nets in ONNX files"),
    "plot": (("matplotlib",), "figures and curves"),
    "remote": (
        ("fsspec", "aiohttp", "s3fs", "gcsfs", "huggingface_hub"),
        "tar shards at s3://, gs://, https:// and hf://",
    ),
    "hf": (("datasets",), "datasets of the Hugging Face hub, hf:OWNER/NAME"),
    "tensorboard": (("tensorboard",), "TensorBoard's files of training"),
}


@dataclass(frozen=True)
class Finding:
    """Something that is there or not, what of it, and what to do about it if anything."""

    topic: str
    name: str
    state: str  # OK, NOTE or MISSING
    value: str
    advice: str = ""


def findings(places: Folders) -> Iterator[Finding]:
    """All that is to be said of this machine, in the order of importance; in some two seconds."""
    yield from _computing()
    yield from _devices()
    yield from _folders(places)
    yield from _datasets(places)
    yield from _weights(places)
    yield from _extras()
    yield from _versions()


def _computing() -> Iterator[Finding]:
    hardware = provenance.hardware("cpu")
    yield Finding("computing", "processor", OK, str(hardware["cpu"]))
    cores, busy = _own_cores(), busy_cores()
    value = f"{cores}" + (f" of {os.cpu_count()}" if cores != os.cpu_count() else "")
    advice = ""
    if busy * 2 > cores:
        value += f", {busy} kept busy by other programs"
        advice = "Measurements take longer as long as other programs run."
    yield _noted("computing", "cores", value, advice)
    threads = torch.get_num_threads()
    limits = [name for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ]
    advice = ""
    if threads < cores and limits:
        advice = f"{limits[0]}={os.environ[limits[0]]} keeps the other cores idle: unset it."
    yield _noted("computing", "threads", str(threads), advice)
    bf16 = devices.resolved_precision("auto", "cpu") == "bf16"
    how = "AMX" if devices.cpu_has_amx() else "AVX-512" if bf16 else ""
    yield Finding(
        "computing", "bf16", OK if bf16 else NOTE,
        f"multiplied by the processor{f' ({how})' if how else ''}" if bf16 else "not here: fp32",
        "" if bf16 else "Forward passes take about twice as long as where bf16 is multiplied.",
    )  # fmt: skip
    total, free = _memory()
    if total:
        value = f"{total / GIB:.1f} GiB, {free / GIB:.1f} GiB of it free"
        advice = "Large nets at large scales may need --batch-size 1." if free < LOW_MEMORY else ""
        yield _noted("computing", "memory", value, advice)


def _own_cores() -> int:
    """The cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _memory() -> tuple[int, int]:
    """Bytes of memory, and those that are free; 0 where the system does not tell."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        kib = {name: int(rest.split()[0]) for name, _, rest in (x.partition(":") for x in lines)}
        return kib["MemTotal"] * 1024, kib["MemAvailable"] * 1024
    except (OSError, ValueError, LookupError):
        return 0, 0  # not Linux


def _devices() -> Iterator[Finding]:
    built_for = torch.version.cuda or torch.version.hip
    found = devices.found()
    for name, what in found.items():
        advice = devices.untried(name) if name != "cpu" else ""
        yield _noted("computing", f"device {name}", what, advice)
    build = f"{torch.__version__}, built for {f'CUDA {built_for}' if built_for else 'CPUs'}"
    advice = ""
    if built_for and len(found) == 1:
        advice = (
            "No GPU is here: the build for CPUs does the same and is 5 GB smaller: pip install"
            f" torch torchvision --index-url {CPU_BUILD}"
        )
    elif not built_for and Path("/dev/nvidia0").exists():
        advice = f"An NVIDIA GPU is here, which this build does not use: {CUDA_BUILDS}"
    yield _noted("computing", "torch build", build, advice)


def _folders(places: Folders) -> Iterator[Finding]:
    for name, path, option in (
        ("data folder", places.data, "--data-dir"),
        ("cache folder", places.cache, "--cache-dir"),
    ):
        there = next((p for p in (path, *path.parents) if p.is_dir()), None)
        free = shutil.disk_usage(there).free if there else 0
        advice = ""
        if free < LOW_DISK:
            advice = f"Choose another disk with {option} or VGGFEAT_HOME."
        if name == "cache folder" and there and not os.access(there, os.W_OK):
            advice = f"It cannot be written to: choose another with {option} or VGGFEAT_HOME."
        yield _noted("disk", name, f"{path}, {in_bytes(free)} free", advice)
    for kind, (folder, _) in KINDS.items():
        path = places.cache / folder
        if folder and path.is_dir():
            size, _ = measured(path)
            yield Finding(
                "disk", f"cached {kind}", OK, f"{in_bytes(size)}: vggfeat cache ls {kind}"
            )


def _datasets(places: Folders) -> Iterator[Finding]:
    """Those of the paper, and of the others those that are there."""
    in_paper = {definition.source.name for definition in DATASETS if definition.in_paper}
    others = 0
    for name, source in distributions().items():
        try:
            located, is_here = source.locate(places), source.is_here(places)
        except OSError as error:
            yield Finding("datasets", name, NOTE, f"cannot be looked at: {reason_of(error)}")
            continue
        if is_here:
            where = ", ".join(map(str, located if isinstance(located, list) else [located]))
            yield Finding("datasets", name, OK, where)
        elif name in in_paper or located:
            lacking = source.missing(places)
            size = sum(mirrors[0].size or 0 for mirrors in lacking)
            value = ("in part" if located else "not here") + (f", {in_bytes(size)}" if size else "")
            yield Finding("datasets", name, MISSING, value, _where_to_get(name, lacking))
        else:
            others += 1
    if others:
        yield Finding("datasets", "others", MISSING, f"{others} not here", "vggfeat datasets ls")
    ilsvrc = places.data / "ILSVRC2012"
    yield (
        Finding("datasets", "ILSVRC2012", OK, str(ilsvrc))
        if ilsvrc.is_dir()
        else Finding(
            "datasets", "ILSVRC2012", MISSING, "not here, 145 GB",
            f"image-net.org gives it to its users; put train/ and val/ into {ilsvrc}",
        )
    )  # fmt: skip


def _where_to_get(name: str, lacking: list[tuple[Source, ...]]) -> str:
    addresses = " and ".join(mirrors[0].url for mirrors in lacking)
    return f"vggfeat datasets fetch {name}" + (f" ({addresses})" if lacking else "")


def _weights(places: Folders) -> Iterator[Finding]:
    names = {name: f"{net}@torchvision" for net, (name, *_) in TORCHVISION_FAMILY.items()}
    names |= {source.name: entry.label for entry in ORIGINALS for source in entry.sources}
    for net in ("vgg16", "vgg19"):
        here = {
            label
            for name, label in names.items()
            if label.startswith(f"{net}@") and (places.weights / name).is_file()
        }
        megabytes = TORCHVISION_FAMILY[net][1]
        if here:
            yield Finding("weights", net, OK, ", ".join(sorted(here)))
        else:
            advice = f"vggfeat weights fetch {net}@torchvision, or {net}@caffe, the paper's own"
            yield Finding("weights", net, MISSING, f"not here, {megabytes:.0f} MB", advice)
    others = [path for path in _files(places.weights) if path.name not in names]
    if others:
        shown = ", ".join(path.name for path in others[:3]) + (", ..." if others[3:] else "")
        yield Finding("weights", "others", OK, f"{len(others)}: {shown}")


def _files(folder: Path) -> list[Path]:
    """The files of weights in a folder, without what lies beside them."""
    beside = (".sha256", ".json", ".lock", ".part")
    try:
        files = sorted(path for path in folder.iterdir() if path.is_file())
    except OSError:
        return []
    return [p for p in files if not p.name.startswith(".") and not p.name.endswith(beside)]


def _extras() -> Iterator[Finding]:
    for extra, (modules, use) in EXTRAS.items():
        lacking = [name for name in modules if importlib.util.find_spec(name) is None]
        if lacking:
            install = f"pip install 'vggfeat[{extra}]'"
            yield Finding("extras", extra, MISSING, f"not here, for {use}", install)
        else:
            yield Finding("extras", extra, OK, f"{modules[0]} {version(modules[0])}, for {use}")


def _versions() -> Iterator[Finding]:
    for name, number in provenance.library_versions().items():
        yield Finding("versions", name, OK, number)


def _noted(topic: str, name: str, value: str, advice: str) -> Finding:
    return Finding(topic, name, NOTE if advice else OK, value, advice)
