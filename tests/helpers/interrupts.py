"""Extractions that are interrupted at a certain place, whatever runs beside them."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count

import pytest

from vggfeat.features.heads.head import describe


@contextmanager
def interrupted_at(number: int) -> Iterator[None]:
    """A `with` block that Ctrl-C ends in an extraction: in that one of its passes, from 0."""
    passes = count()

    def interrupted(*arguments, **options):
        if next(passes) == number:
            raise KeyboardInterrupt
        return describe(*arguments, **options)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("vggfeat.features.pipeline.describe", interrupted)
        yield
