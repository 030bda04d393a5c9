"""Whether a net answers the same when it is asked again: one in training mode does not.

Dropout draws at random, and batch normalisation with the statistics of the batch makes a picture's
descriptor depend on the pictures beside it.
"""

import torch
from torch import Tensor, nn

from vggfeat.errors import NetworkError

# Of the length of a descriptor. Sound nets repeat themselves to the bit, or nearly so on a GPU;
# beside other pictures other kernels are chosen, and nets in bf16 or of whole numbers round more.
ONCE_MORE, BESIDE_OTHERS = 2e-3, 5e-2
_found_sound: set[tuple] = set()


class Repeatable(nn.Module):
    """A module that gives a list of maps [N, D, h, w]; its first batch of images is run again.

    identity says which net it is, which is looked at once in a process. remedy is what its user can
    do. Raises NetworkError where it gives something else.
    """

    def __init__(self, maps: nn.Module, identity: tuple, *, name: str, remedy: str):
        super().__init__()
        self.maps, self.identity, self.name, self.remedy = maps, identity, name, remedy

    def forward(self, images: Tensor) -> list[Tensor]:
        # What is run for comparison must not take away what the first run gave.
        maps = self.maps(images)
        if self.identity not in _found_sound:
            self._check(images, maps)
            _found_sound.add(self.identity)
        return maps

    def _check(self, images: Tensor, maps: list[Tensor]) -> None:
        if (other := _difference(maps, self.maps(images))) > ONCE_MORE:
            self._refuse("the same pictures other numbers when it is run again", other)
        # One picture alone; or beside another, if it came alone.
        beside = images[:1] if len(images) > 1 else torch.cat([images, torch.zeros_like(images)])
        try:
            of_first = self.maps(beside)
        except (MemoryError, torch.OutOfMemoryError):
            return
        if (other := _difference(maps, of_first, rows=1)) > BESIDE_OTHERS:
            self._refuse("a picture other numbers beside other pictures", other)

    def _refuse(self, what: str, difference: float) -> None:
        raise NetworkError(
            f"{self.name}: gives {what} (by {100 * difference:.0f} %): it is in training mode."
            f" {self.remedy}"
        )


def _difference(maps: list[Tensor], others: list[Tensor], *, rows: int | None = None) -> float:
    """The largest difference of two answers, as a part of their length."""
    differences = [0.0]
    for one, other in zip(maps, others, strict=True):
        one, other = one[:rows].float(), other[:rows].float()
        length = torch.maximum(one.norm(), other.norm())
        if length.isfinite() and length > 0:
            differences.append(((one - other).norm() / length).item())
    return max(differences)
