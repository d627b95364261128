"""Score marks on the benchmark's windows: sensitivity at false positives per 5 liters.

Example:
    python projects/luna16_nodules/score.py test_marks.csv data/nodules test
"""

import sys
from pathlib import Path

from mmdet3d_medical.evaluation.functional import FP_RATES, froc
from mmdet3d_medical.evaluation.marks import read_marks, read_scan_ids
from mmdet3d_medical.evaluation.truth import scans_to_score, truth_of_index

SHARE = 0.0128  # of 5 liters in a window of 40^3 mm


def main(marks: str, data: str, part: str) -> None:
    truth = truth_of_index(Path(data, 'index.json'))
    scans = scans_to_score(read_scan_ids(Path(data, 'splits/draw0', f'{part}.txt')), truth)
    rates = [rate * SHARE for rate in FP_RATES]
    found = read_marks(marks)
    result = froc(scans, found, truth.lesions, truth.ignored, rates, bootstraps=1000)
    low, high = result.to_dict()['ci95']['cpm']
    print(f'{len(scans)} windows, {result.tp + result.fn} nodules, {len(scans) * SHARE * 5:.1f} L')
    print(f'CPM {result.cpm:.3f} [{low:.3f}, {high:.3f}]')
    for rate, value in zip(FP_RATES, result.sensitivity, strict=True):
        print(f'{rate:6g} per 5 liters: {value:.3f}')


if __name__ == '__main__':
    main(*sys.argv[1:])
