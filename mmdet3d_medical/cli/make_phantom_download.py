"""What ``mmdet3d-medical make-phantom-download`` does."""

from argparse import Namespace

from mmdet3d_medical.datasets.phantom import phantom_settings
from mmdet3d_medical.datasets.phantom.dicom import make_dicom_studies
from mmdet3d_medical.datasets.phantom.download import make_luna16_download
from mmdet3d_medical.utils.files import write_json

# About as small as phantoms can be; the studies have more slices than convert-dicom asks for.
SCANS = phantom_settings(shape=(40, 44, 44))
STUDIES = phantom_settings(shape=(96, 64, 64), spacing=(1.2, 3.0, 3.0))


def main(args: Namespace) -> None:
    luna16 = make_luna16_download(args.out / 'LUNA16', SCANS, args.scans, args.seed, args.workers)
    nlst = make_dicom_studies(args.out / 'NLST', STUDIES, args.studies, args.seed + 1)
    write_json(args.out / 'expected.json', dict(luna16=luna16, nlst=nlst))
    print(f'{args.out}: {args.scans} scans in LUNA16, {args.studies} studies in NLST')
