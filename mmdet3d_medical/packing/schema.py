"""What ``model.json`` of a model folder says."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

FORMAT = 'mmdet3d_medical/model'
VERSION = 1

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
STRICT = ConfigDict(extra='forbid', frozen=True)


class OperatingPoint(BaseModel):
    """What the marks of a score and above are worth, as measured."""

    model_config = STRICT

    score: Annotated[Share, Field(description='lowest score of a mark that counts')]
    fp_per_scan: Annotated[float, Field(ge=0, description='false positives in a scan')]
    sensitivity: Annotated[Share, Field(description='share of the lesions that are found')]


class ModelFacts(BaseModel):
    """A trained detector and all that a scan needs before it sees it.

    ``config`` is the detector's config as plain data. Scans are resampled to ``spacing`` (z, y, x)
    in mm, or left as they are, and cut to the lungs and ``margin`` mm around them where ``crop``
    says so; ``window`` is what the detector sees of HU.
    """

    model_config = STRICT

    format: Literal['mmdet3d_medical/model'] = FORMAT
    version: Literal[1] = VERSION
    name: Annotated[str, Field(min_length=1)]
    summary: str = ''
    config: dict[str, Any]
    spacing: Annotated[list[Positive], Field(min_length=3, max_length=3)] | None
    crop: Literal['lungs', 'none'] = 'none'
    margin: Annotated[float, Field(ge=0)] = 10.0
    window: Annotated[list[Finite], Field(min_length=2, max_length=2)] | None = None
    classes: Annotated[list[str], Field(min_length=1)]
    threshold: Share
    operating_points: list[OperatingPoint] = []
    measured_on: str = ''
    sha256: Annotated[str, Field(pattern='^[0-9a-f]{64}$')]
    versions: dict[str, str] = {}

    def threshold_of(self, score_thr: float | None, fp_per_scan: float | None) -> float:
        """The score that counts: as given, else that of a rate, else the model's own.

        Raises:
            ValueError: If the score lies outside 0 to 1, or as :meth:`score_at`.
        """
        if score_thr is None:
            return self.threshold if fp_per_scan is None else self.score_at(fp_per_scan)
        if not 0 <= score_thr <= 1:
            raise ValueError(f'the lowest score must lie in 0 to 1, found {score_thr:g}')
        return score_thr

    def score_at(self, fp_per_scan: float) -> float:
        """Lowest score with at most this many false positives in a scan, as measured.

        Raises:
            ValueError: If nothing was measured, or the rate lies below all that were.
        """
        rates = [point.fp_per_scan for point in self.operating_points]
        if not rates:
            raise ValueError(
                f'{self.name} has no operating points: pack it with --marks and --annotations, or '
                'give a score (--score-thr)'
            )
        allowed = [p.score for p in self.operating_points if p.fp_per_scan <= fp_per_scan + 1e-9]
        if not allowed:
            raise ValueError(
                f'{self.name} was measured at {min(rates):g} to {max(rates):g} false positives per '
                f'scan, not at {fp_per_scan:g}'
            )
        return min(allowed)


def voxels_of(spacing: Sequence[float] | None) -> str:
    """What size of voxels (z, y, x) scans are resampled to, in words."""
    return ' x '.join(f'{step:g}' for step in spacing) + ' mm' if spacing else "the scan's own"
