"""Seconds that extractions take on this machine, by rates that are measured once for each net."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from vggfeat.backbones.network import Network
from vggfeat.costs.calibration import NUM_PICTURES, loading_rate
from vggfeat.costs.forward_calibration import batch_pixels_of, forward_rates
from vggfeat.costs.model import FORWARD, LOAD, overlapped
from vggfeat.costs.photographs import write_photographs
from vggfeat.costs.planning import USUAL_SIZE, sampled
from vggfeat.costs.rates import ForwardRate, LoadingRate
from vggfeat.costs.work import work_of
from vggfeat.features.options import Extraction
from vggfeat.images import Picture
from vggfeat.prefetch import available_cores

FORWARD_S, LOADING_S = 4.0, 0.5  # of measuring, for each net and once
MOST_SIZES = 4096  # of a data set, that are read


class ExtractionSeconds:
    """Seconds of extractions here. A rate is measured when it is first needed, and kept."""

    def __init__(self) -> None:
        self._forward: dict[tuple[Network, str, str, int], ForwardRate] = {}
        self._starts: dict[Network, float] = {}
        self._loading: LoadingRate | None = None

    @property
    def has_measured(self) -> bool:
        """Whether anything was to be extracted, so that rates were measured."""
        return bool(self._starts)

    def of(
        self,
        network: Network,
        options: Extraction,
        count: int,
        pictures: Mapping[str, Picture] | None = None,
    ) -> float:
        """Seconds of so many of the pictures, or of usual ones; 0 for a net that shares its pass
        with an earlier one."""
        others = (net for net in self._starts if net is not network)
        if not count or any(map(network.shares_pass, others)):
            return 0.0
        sizes: Sequence[tuple[int, int]] = [USUAL_SIZE]
        if pictures:
            sizes, _ = sampled(pictures, exif=options.exif, most=MOST_SIZES)
        pixels = batch_pixels_of(options.resolved_device)
        work = work_of(network, options, sizes, 0.0, batch_pixels=pixels)
        started = network in self._starts
        self._measure(network, options, sizes, pictures)
        key = (network, options.resolved_device, options.resolved_precision)
        forward = sum(self._forward[*key, at.scale].seconds(at) for at in work.scales)
        stages = {LOAD: self._loading.core_s(work) / available_cores(), FORWARD: forward}
        seconds = count * overlapped(stages, is_cpu=options.resolved_device == "cpu")
        return seconds + (0.0 if started else self._starts[network])

    def _measure(
        self,
        network: Network,
        options: Extraction,
        sizes: Sequence[tuple[int, int]],
        pictures: Mapping[str, Picture] | None,
    ) -> None:
        """Measure what is not known yet."""
        key = (network, options.resolved_device, options.resolved_precision)
        lacking = tuple(s for s in options.scales if (*key, s) not in self._forward)
        if lacking:
            rates, start_s = forward_rates(
                network, options, sizes, scales=lacking, seconds=FORWARD_S
            )
            self._forward |= {(*key, scale): rate for scale, rate in rates.items()}
            self._starts.setdefault(network, start_s)
        if self._loading is None:
            self._loading = _loading(network, options, pictures)


def _loading(
    network: Network, options: Extraction, pictures: Mapping[str, Picture] | None
) -> LoadingRate:
    """Of some of the pictures, or of generated ones."""
    if pictures:
        step = max(1, len(pictures) // NUM_PICTURES)
        some = dict(islice(pictures.items(), 0, None, step))
        readable = replace(options, on_error="skip")
        return loading_rate(network, readable, some, seconds=LOADING_S)
    with TemporaryDirectory(prefix="vggfeat-plan-") as folder:
        drawn = write_photographs(Path(folder), 8, sizes=(USUAL_SIZE,))
        return loading_rate(network, options, drawn, seconds=LOADING_S)
