"""Which views of a picture there are, and which heads each needs.

dense   the whole picture, and for classification its mirror image
crops   a regular grid of crops and their mirror images
both    the mean of the posteriors of dense and crops
centre  the centre crop alone
"""

from vggfeat.features.heads.posterior import Centre, Crops, Dense

HEADS = {"dense": Dense, "crops": Crops, "centre": Centre}
VIEWS = {
    "dense": ("dense",),
    "crops": ("crops",),
    "both": ("dense", "crops"),
    "centre": ("centre",),
}
BOX_VIEWS = ("centre", "dense")
