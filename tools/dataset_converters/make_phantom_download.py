"""Make synthetic scans as LUNA16 and NLST are downloaded: archives, and studies of DICOM files.

They have what is irregular in such data: see docs/luna16.md, whose commands are rehearsed on them.

Example:
    python tools/dataset_converters/make_phantom_download.py data
"""

import argparse
from pathlib import Path

from mmdet3d_medical.apis import at_least, run_tool
from mmdet3d_medical.datasets.phantom import phantom_settings
from mmdet3d_medical.datasets.phantom.dicom import make_dicom_studies
from mmdet3d_medical.datasets.phantom.download import make_luna16_download
from mmdet3d_medical.utils.files import write_json

# About as small as phantoms can be; the studies have more slices than dicom.py asks for.
SCANS = phantom_settings(shape=(40, 44, 44))
STUDIES = phantom_settings(shape=(96, 64, 64), spacing=(1.2, 3.0, 3.0))


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'out',
        type=Path,
        metavar='OUT_DIR',
        help='gets the folders LUNA16 and NLST, and expected.json: what the '
        'converters have to say of them',
    )
    parser.add_argument('--scans', type=at_least(11), default=30, help='of LUNA16 (default: 30)')
    parser.add_argument('--studies', type=at_least(2), default=4, help='of NLST (default: 4)')
    parser.add_argument('--seed', type=at_least(0), default=0)
    parser.add_argument('--workers', type=at_least(1), default=1, help='processes (default: 1)')
    return parser.parse_args()


def main() -> None:
    args = parse_args()
    luna16 = make_luna16_download(args.out / 'LUNA16', SCANS, args.scans, args.seed, args.workers)
    nlst = make_dicom_studies(args.out / 'NLST', STUDIES, args.studies, args.seed + 1)
    write_json(args.out / 'expected.json', dict(luna16=luna16, nlst=nlst))
    print(f'{args.out}: {args.scans} scans in LUNA16, {args.studies} studies in NLST')


if __name__ == '__main__':
    run_tool(main)
