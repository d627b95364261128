"""What of HU a screen shows."""

from collections.abc import Sequence

import numpy as np

HU_WINDOW = (-1000.0, 400.0)


def to_gray(volume: np.ndarray, window: Sequence[float] = HU_WINDOW) -> np.ndarray:
    """HU as 0 to 255, uint8: the ends of the window are black and white."""
    low, high = window
    scaled = (np.asarray(volume, np.float32) - low) * (255 / (high - low))
    return np.rint(np.clip(scaled, 0, 255)).astype(np.uint8)
