"""What jobs take, against numbers worked out by hand."""

import pytest
from helpers.pictures import NARROW

from vggfeat.backbones.load import load_network
from vggfeat.costs.model import Machines, estimate
from vggfeat.costs.quantities import as_bytes, as_count, as_picture_size, size_text, time_text
from vggfeat.costs.rates import DiskRate, LoadingRate
from vggfeat.costs.work import ROW_BYTES, PictureWork, ScaleWork, work_of
from vggfeat.errors import OptionError
from vggfeat.features.options import Extraction

# 1 MP and 0.2 MB; 0.5 MP at the one scale, with mirror images; 4,096 float32.
AT_SCALE = ScaleWork(256, rescaled_mp=0.5, net_mp=1.0, passes=0.1, new_shapes=0.0)
WORK = PictureWork(source_mp=1.0, source_bytes=2e5, scales=(AT_SCALE,), vector_bytes=16384)
LOADING = LoadingRate(decode_mp_s=0.01, prepare_mp_s=0.02)  # 20 ms of a core a picture
DISK = DiskRate(read_bytes_s=1e8, write_bytes_s=5e7, row_s=1e-4, row_bytes=16384 + ROW_BYTES)


@pytest.mark.parametrize(
    "text, number",
    [("100M", 10**8), ("1.3M", 1_300_000), ("1e8", 10**8), ("5000", 5000), ("1,000,000", 10**6),
     ("250k", 250_000), ("2B", 2 * 10**9), ("1_000", 1000)],
)  # fmt: skip
def test_counts_are_read_as_people_write_them(text, number):
    assert as_count(text) == number


@pytest.mark.parametrize("text", ["", "0", "-5", "many", "1.5.2", "1MB", "1e40", "nan", "5 x"])
def test_what_is_no_count_is_refused(text):
    with pytest.raises(OptionError):
        as_count(text)


def test_bytes_and_sizes_are_read_and_printed():
    assert as_bytes("110k") == as_bytes("110 kB") == as_bytes("110000") == 110_000
    assert as_bytes("1.2MB") == 1_200_000 and as_bytes("500B") == 500
    assert as_picture_size("500x375") == (500, 375)
    for wrong in ("500", "0x3", "500x", "axb"):
        with pytest.raises(OptionError, match="500x375"):
            as_picture_size(wrong)
    assert [size_text(n) for n in (12, 1.6e12, 4.24e8)] == ["12 bytes", "1.60 TB", "424 MB"]
    assert [time_text(s) for s in (0.0482, 1.5, 11556, 1_080_000)] == [
        "48.2 ms", "1.50 s", "3.21 h", "12.5 days",
    ]  # fmt: skip


def test_on_gpus_the_slowest_stage_decides():
    """1,000 pictures on 4 GPUs with 8 cores."""
    gpus = Machines(num_devices=4, cores=8, is_cpu=False, forward_s=0.04, start_s=3.0)
    result = estimate(1000, WORK, gpus, LOADING, DISK)
    assert result.stage_s == pytest.approx(
        {
            "read": 1000 * 2e5 / 1e8,  # 2 s
            "decode": 1000 * 0.02 / 8,  # 2.5 s
            "forward": 1000 * 0.04 / 4,  # 10 s
            "store": 1000 * 1e-4 / 4,
            "write": 1000 * (16384 + ROW_BYTES) / 5e7,
        }
    )
    assert result.seconds == pytest.approx(3 + 10)
    assert (result.bottleneck, result.margin) == ("forward", pytest.approx(4.0))
    assert result.device_hours == pytest.approx(4 * 13 / 3600)
    assert result.read_bytes_s == pytest.approx(1000 * 2e5 / 13)
    assert result.descriptor_bytes == 16_384_000
    assert result.disk_bytes == 1000 * (16384 + ROW_BYTES + 16)  # 16 in the index
    assert estimate(1, WORK, gpus, LOADING, DISK, is_sharded=False).index_bytes == 0


def test_on_a_cpu_decoding_and_the_net_take_turns():
    cpu = Machines(num_devices=1, cores=2, is_cpu=True, forward_s=0.04)
    result = estimate(1000, WORK, cpu, LOADING, DISK)
    assert result.seconds == pytest.approx(1000 * (0.02 / 2 + 0.04))
    slow_disk = DiskRate(read_bytes_s=1e6, write_bytes_s=5e7, row_s=1e-4, row_bytes=16384)
    bound = estimate(1000, WORK, cpu, LOADING, slow_disk)
    assert bound.bottleneck == "read" and bound.seconds == pytest.approx(200)


def test_work_of_pictures_of_one_size():
    """64x48 pixels at 32 and 48, mirrored: 42x32 and 64x48; 2**20 pixels hold 341 of the larger."""
    options = Extraction(scales=(32, 48), dtype="float16")
    work = work_of(load_network(NARROW), options, [(64, 48)], 5000.0)
    assert work.source_mp == pytest.approx(64 * 48 / 1e6) and work.source_bytes == 5000
    small, large = work.scales
    assert small.rescaled_mp == pytest.approx(42 * 32 / 1e6)
    assert large.net_mp == pytest.approx(2 * 64 * 48 / 1e6)
    assert small.passes == large.passes == pytest.approx(1 / 341) and not large.new_shapes
    assert work.vector_bytes == 2 * load_network(NARROW).backbone.dim * 2


def test_work_of_pictures_of_many_sizes_counts_their_batches():
    """Three shapes, one of them twice: three passes for four pictures, each of a new shape."""
    sizes = [(64, 48), (48, 64), (64, 48), (50, 48)]
    plain = Extraction(scales=(48,), mirror=False)
    (at,) = work_of(load_network(NARROW), plain, sizes, 1.0).scales
    assert at.passes == at.new_shapes == pytest.approx(3 / 4)
    assert at.net_mp == at.rescaled_mp == pytest.approx((3 * 64 * 48 + 50 * 48) / 4 / 1e6)
    one_by_one = Extraction(scales=(48,), mirror=False, batch_size=1)
    (at,) = work_of(load_network(NARROW), one_by_one, sizes, 1.0).scales
    assert at.passes == 1 and at.new_shapes == pytest.approx(3 / 4)


def test_work_of_crops_is_that_of_their_size():
    crops = load_network(NARROW.replace("vgg11:", "vgg11:view=corners,"))
    (at,) = work_of(crops, Extraction(scales=(48,)), [(64, 48)], 1.0).scales
    assert at.net_mp == pytest.approx(5 * 2 * 32 * 32 / 1e6)
