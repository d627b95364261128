"""What a phantom data set looks like: every knob, and named difficulties."""

from dataclasses import dataclass, replace

Range = tuple[float, float]


@dataclass(frozen=True)
class PhantomSettings:
    """Knobs of the synthetic chest CT; ranges are drawn from once per scan unless said otherwise.

    Args:
        shape: Nominal voxels along (z, y, x); each scan differs a little.
        spacing: Nominal voxel size along (z, y, x) in mm.
        spacing_factors: Range of a scan's in-plane spacing over the nominal one.
        thickness_factors: Slice thicknesses over the nominal one, one drawn per scan.
        healthy_fraction: Share of scans without a nodule (287 of 888 in LUNA16).
        lung_hu: HU of lung tissue between the vessels.
        vessel_density: Factor on the number of vessel ends.
        texture: Standard deviation in HU of the coarse pattern in lung tissue.
        noise: Standard deviation in HU of the image noise (log-uniform).
        blur: Standard deviation in mm of the reconstruction kernel.
        sharpen: Overshoot of a sharp kernel, 0 for none.
        hu_offset: Calibration error in HU.
        hu_scale: Calibration factor, about air.
        contrast: Opacity of a solid nodule, 1 being soft tissue; drawn per nodule.
        ground_glass: Opacity of ground glass; drawn per nodule.
        lookalikes: Mean number of findings per scan that are not nodules (Poisson).
        listed_fraction: Share of those that readers wrote down (``annotations_excluded.csv``).
        variety: Concentration of a scan's mix of nodule and finding kinds around the average: small
            values make scans differ much from each other.
    """

    shape: tuple[int, int, int] = (96, 128, 128)
    spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)
    spacing_factors: Range = (0.88, 1.14)
    thickness_factors: tuple[float, ...] = (0.75, 1.0, 1.0, 1.25)
    healthy_fraction: float = 287 / 888
    lung_hu: Range = (-955.0, -860.0)
    vessel_density: Range = (0.4, 1.5)
    texture: Range = (5.0, 25.0)
    noise: Range = (8.0, 50.0)
    blur: Range = (0.3, 1.4)
    sharpen: Range = (0.0, 1.5)
    hu_offset: Range = (-100.0, 100.0)
    hu_scale: Range = (0.75, 1.25)
    contrast: Range = (0.7, 1.0)
    ground_glass: Range = (0.35, 0.55)
    lookalikes: float = 8.0
    listed_fraction: float = 0.6
    variety: float = 0.3

    def __post_init__(self):
        if any(n < 24 for n in self.shape):
            raise ValueError(f'shape must be at least 24 voxels along each axis, got {self.shape}')
        if any(s <= 0 for s in self.spacing):
            raise ValueError(f'spacing must be positive (mm), got {self.spacing}')
        view = [n * s for n, s in zip(self.shape, self.spacing, strict=True)]
        if min(view) < 80:
            raise ValueError(
                f'the field of view is {view} mm (shape x spacing, z y x); nodules of up to 32 mm '
                'need at least 80 mm along each axis: raise the shape or the spacing'
            )


DIFFICULTIES = {
    'easy': PhantomSettings(
        lung_hu=(-930.0, -890.0),
        texture=(4.0, 10.0),
        noise=(6.0, 14.0),
        sharpen=(0.0, 0.2),
        hu_offset=(-10.0, 10.0),
        hu_scale=(0.98, 1.02),
        contrast=(0.85, 1.0),
        ground_glass=(0.45, 0.6),
        lookalikes=3.0,
        variety=10.0,
    ),
    'default': PhantomSettings(),
    'hard': PhantomSettings(
        texture=(8.0, 35.0),
        noise=(20.0, 75.0),
        vessel_density=(0.6, 1.6),
        contrast=(0.4, 1.0),
        ground_glass=(0.2, 0.45),
        lookalikes=14.0,
    ),
}


def phantom_settings(difficulty: str = 'default', **changes) -> PhantomSettings:
    """Settings of a named difficulty, with fields replaced by ``changes``.

    Raises:
        ValueError: If there is no such difficulty.
    """
    if difficulty not in DIFFICULTIES:
        raise ValueError(f'difficulty {difficulty!r} is unknown; choose from {list(DIFFICULTIES)}')
    return replace(DIFFICULTIES[difficulty], **changes)
