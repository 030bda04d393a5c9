"""Feature files: found, read, inspected and written."""

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
)
from vggfeat.features.store.summary import Summary, inspect
from vggfeat.features.store.writer import FeatureWriter, forget, forget_damaged

__all__ = [
    "DECODER",
    "SCALED_DECODER",
    "Conditions",
    "FeatureWriter",
    "OtherScales",
    "StoredRow",
    "Summary",
    "UsableRows",
    "batch_pixels",
    "contents",
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
]
