"""A CT series that DICOM validators accept, and findings in it."""

from pathlib import Path

import numpy as np

from mmdet3d_medical.datasets.converters.dicom.headers import find_files, read_headers
from mmdet3d_medical.datasets.converters.dicom.rules import check_series, group_series
from mmdet3d_medical.datasets.converters.dicom.source import DicomSource
from mmdet3d_medical.inference.findings import Findings, make_findings
from mmdet3d_medical.inference.scans import RULES, Scan

from ..test_datasets.dicom_series import positions, write_series

SERIES, STUDY, FRAME = '1.2.826.0.1.3680043.8.498.7.1', '1.2.826.0.1.3680043.8.498.7', '2.25.77'
SHAPE = (11, 10, 8)
NAME = 'Müller^Änne'
STRAIGHT, TURNED, DOWNWARD = (
    (1, 0, 0, 0, 1, 0),
    (0.0, -1, 0, 1, 0, 0),  # rows run to the front: a quarter turn within the plane
    (1, 0, 0, 0, -1, 0),  # the normal of the plane runs to the feet
)
BOXES = np.array([[2.0, 1, 2, 5, 4, 6], [4, 6, 1, 6, 9, 3]])
SCORES, CLASSES = (0.9, 0.25), ('nodule', 'odd\\thing')


def write_ct(folder: Path, orientation=STRAIGHT, **tags) -> list[Path]:
    """The files, in an order that is not that of the slices."""
    voxels = np.random.default_rng(0).integers(-1000, 1000, SHAPE).astype(np.int16)
    valid = dict(
        study=STUDY,
        SpecificCharacterSet='ISO_IR 192',
        PatientName=NAME,
        PatientID='LA-7',
        PatientBirthDate='19470929',
        PatientSex='F',
        FrameOfReferenceUID=FRAME,
        PositionReferenceIndicator='',
        StudyDate='20200102',
        StudyTime='030405',
        StudyID='S1',
        AccessionNumber='A1',
        ReferringPhysicianName='Ö^Ü',
        SeriesNumber=3,
        SeriesDescription='chest',
        AcquisitionNumber=1,
        ContentDate='20200102',
        ContentTime='030405',
        PatientPosition='HFS',
        Manufacturer='maker',
        BodyPartExamined='CHEST',
        KVP=120,
        RescaleType='HU',
        ImageOrientationPatient=list(orientation),
    )
    return write_series(
        folder, voxels, SERIES, positions(orientation, len(voxels)), **{**valid, **tags}
    )


def read_scan(folder: Path) -> Scan:
    """The scan as ``predict`` finds it."""
    headers, _ = read_headers(find_files(folder), b'key')
    ((_, images),) = group_series(headers).items()
    return Scan(SERIES, DicomSource.from_series(check_series(images, RULES)))


def find(scan: Scan, boxes=BOXES, scores=SCORES, classes=CLASSES) -> Findings:
    """Findings from boxes in voxel edges of the scan."""
    boxes = np.reshape(boxes, (-1, 6)).astype(float)
    labels = range(len(classes))
    about = classes, 'small-model', 0.1
    return make_findings(scan, scan.geometry, boxes, scores, labels, *about)
