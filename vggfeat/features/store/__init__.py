"""Feature files: found, read, inspected and written."""

from vggfeat.features.store.format import Conditions
from vggfeat.features.store.reader import (
    contents,
    find,
    is_feature_file,
    lacking,
    picture_digests,
    read,
    read_sizes,
)
from vggfeat.features.store.summary import Summary, inspect
from vggfeat.features.store.writer import FeatureWriter, forget_damaged

__all__ = [
    "Conditions",
    "FeatureWriter",
    "Summary",
    "contents",
    "find",
    "forget_damaged",
    "inspect",
    "is_feature_file",
    "lacking",
    "picture_digests",
    "read",
    "read_sizes",
]
