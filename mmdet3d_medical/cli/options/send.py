"""Send DICOM segmentations and reports of findings to a PACS, by DICOMweb.

OUT is a folder that `predict --format dicom` wrote; seg.dcm and sr.dcm of each scan are stored. A
password is read from the environment variable MMDET3D_DICOMWEB_PASSWORD.

Example:
    mmdet3d-medical predict luna16-nodules study/ -o out --format dicom
    mmdet3d-medical send out http://localhost:8042/dicom-web
"""

from argparse import ArgumentParser
from pathlib import Path


def add_arguments(parser: ArgumentParser) -> None:
    parser.add_argument('out', type=Path, metavar='OUT', help='folder of the results')
    parser.add_argument(
        'url',
        metavar='URL',
        help='of the DICOMweb service, such as http://localhost:8042/dicom-web',
    )
    parser.add_argument(
        '--scan',
        dest='scans',
        nargs='+',
        metavar='ID',
        help='only these, by the names of their folders (default: all)',
    )
    parser.add_argument('--user', metavar='U', help='name to log in with (default: none)')
