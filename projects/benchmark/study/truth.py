"""What marks of a benchmark are scored against."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from mmdet3d_medical.evaluation.functional import FP_RATES
from mmdet3d_medical.evaluation.marks import Findings
from mmdet3d_medical.utils.errors import UsageError


class Truth(NamedTuple):
    """What marks are scored against.

    Attributes:
        scan_ids: All scans that are searched.
        nodules: Lesions to find.
        excluded: Findings on which marks count neither way.
        share: Of a scan in what false positives are counted by; 1 is by the scan.
        rates: (R,) false positives by that, at which sensitivity is reported.
    """

    scan_ids: list[str]
    nodules: Findings
    excluded: Findings
    share: float = 1.0
    rates: tuple[float, ...] = FP_RATES


def read_rates(content: Mapping[str, Any], where: str) -> tuple[float, ...]:
    """The ``rates`` of the definition of a data set, or LUNA16's.

    Raises:
        UsageError: If they are not positive and rising, beginning with ``where``.
    """
    rates = content.get('rates', FP_RATES)
    numbers = isinstance(rates, (list, tuple)) and all(type(r) in (int, float) for r in rates)
    if not numbers or not rates or rates[0] <= 0 or sorted(set(rates)) != list(rates):
        raise UsageError(f'{where}: rates must be positive, rising numbers, found {rates!r}')
    return tuple(map(float, rates))
