"""How many rows a block of vectors has, so that what is computed of it takes a fixed memory."""

BLOCK_BYTES = 2**26


def block_rows(d: int, columns: int) -> int:
    """Rows of a block of vectors [m, d] whose scores in so many columns are computed in float64.

    Of a row there are the vector, read twice (VectorFile) and in float64, and its scores, losses
    and derivatives.
    """
    return max(1, BLOCK_BYTES // (20 * d + 48 * columns))
