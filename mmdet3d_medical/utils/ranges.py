"""Ranges that random values are drawn from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def checked_range(
    name: str, values: Sequence[float], lowest: float = -np.inf, highest: float = np.inf
) -> tuple[float, float]:
    """The smallest and the largest value of a range.

    Raises:
        ValueError: Unless lowest <= smallest <= largest <= highest, naming the argument.
    """
    if len(values) != 2 or not lowest <= values[0] <= values[1] <= highest:
        raise ValueError(
            f'{name} must be (smallest, largest), not below {lowest}, nor above {highest}, '
            f'found {values}'
        )
    return float(values[0]), float(values[1])
