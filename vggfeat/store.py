"""`vggfeat.store`, by which the README promises the reader of feature files."""

from vggfeat.features.store import inspect, lacking, read

__all__ = ["inspect", "lacking", "read"]
