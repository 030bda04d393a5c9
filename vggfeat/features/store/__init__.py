"""Feature files: found, read, inspected and written."""

from vggfeat.features.store.feature_reader import FeatureReader
from vggfeat.features.store.forgetting import forget, forget_damaged
from vggfeat.features.store.format import DECODER, SCALED_DECODER, Conditions
from vggfeat.features.store.other_scales import OtherScales, StoredRow
from vggfeat.features.store.reader import (
    UsableRows,
    batch_pixels,
    contents,
    find,
    is_complete,
    is_feature_file,
    known_digests,
    lacking,
    picture_digests,
    read,
    read_blocks,
    read_sizes,
    read_usable,
    versions,
)
from vggfeat.features.store.sound_rows import SoundRows, sound_rows
from vggfeat.features.store.summary import Summary, inspect
from vggfeat.features.store.sums import digest_of
from vggfeat.features.store.whole import write_whole
from vggfeat.features.store.writer import FeatureWriter

__all__ = [
    "DECODER",
    "SCALED_DECODER",
    "Conditions",
    "FeatureReader",
    "FeatureWriter",
    "OtherScales",
    "SoundRows",
    "StoredRow",
    "Summary",
    "UsableRows",
    "batch_pixels",
    "contents",
    "digest_of",
    "find",
    "forget",
    "forget_damaged",
    "inspect",
    "is_complete",
    "is_feature_file",
    "known_digests",
    "lacking",
    "picture_digests",
    "read",
    "read_blocks",
    "read_sizes",
    "read_usable",
    "sound_rows",
    "versions",
    "write_whole",
]
