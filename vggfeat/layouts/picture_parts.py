"""Pictures that come part by part, as none of their lists fits into memory: `PictureParts`.

A part is what one process works on at a time, and what one file of vectors is made of: a tar shard,
or so many lines of a list. Parts are the same in every process and in every run.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from vggfeat.images import Picture


@dataclass(frozen=True)
class Part:
    """The pictures of a part in their order, and what in it is no picture that can be read."""

    pictures: Mapping[str, Picture]  # id -> where it is while the part is open
    broken: Mapping[str, str] = field(default_factory=dict)  # name -> reason


class PictureParts(ABC):
    """All pictures of a source, part by part."""

    name: str  # the dataset, by which feature files know these pictures
    digest: str  # of what decides the parts: another one is another list
    num_parts: int

    @abstractmethod
    def opened(self, part: int) -> AbstractContextManager[Part]:
        """A `with` block in which the pictures of a part can be read. Raises DatasetError."""
