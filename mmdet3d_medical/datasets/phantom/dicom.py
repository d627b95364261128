"""Phantom scans as studies of DICOM files in nested folders, in the place of unlabeled scans."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from mmdet3d_medical.utils.files import staged, write_text

from .scan import PhantomScan, make_scan
from .settings import PhantomSettings

INTERCEPT = -1024
PATIENT = 'PHANTOM'


def make_dicom_studies(
    out: Path, settings: PhantomSettings, studies: int = 4, seed: int = 1
) -> dict[str, dict | list]:
    """Write studies of a scan each: a series of all slices, and one of every other slice.

    The first study has a localizer too, in its last study a slice is missing from both series. A
    file that is not DICOM lies among them.

    Args:
        out: Folder, made if missing.
        settings: What the scans look like.
        studies: At least 2. Defaults to 4.
        seed: Of the data set. Defaults to 1.

    Returns:
        What the converter has to say of it: numbers of series by ``results``, and some of the
        ``reasons`` why series are left out.

    Raises:
        ValueError: If there are fewer than two studies.
    """
    if studies < 2:
        raise ValueError(f'expected at least 2 studies, found {studies}')
    for number in range(studies):
        scan = make_scan(settings, seed, number)
        folder = out / f'{PATIENT}{number}' / 'CT'
        broken = number == studies - 1
        for step in (1, 2):
            slices = list(_slices(scan, step))
            _write(folder / str(step), slices[:20] + slices[21:] if broken else slices)
    localizer = next(_slices(make_scan(settings, seed, 0), 3))
    localizer.ImageType = ['ORIGINAL', 'PRIMARY', 'LOCALIZER']
    _write(out / f'{PATIENT}0', [localizer])
    write_text(out / 'readme.txt', 'not DICOM\n')
    results = {'converted': studies - 1, 'left out': studies + 2}
    return dict(results=results, reasons=['localizer', 'missing slices'])


def _slices(scan: PhantomScan, step: int) -> Iterator[Dataset]:
    """A CT image of every ``step``-th slice, in a series of its own."""
    geometry, series = scan.geometry, f'{scan.uid}.{step}'
    direction = np.reshape(geometry.direction, (3, 3))
    for number in range(0, len(scan.volume), step):
        (position,) = geometry.index_to_world(np.array([[number, 0, 0]]))
        yield _image(scan.volume[number], f'{series}.{number + 1}', dict(
            SeriesInstanceUID=series, StudyInstanceUID=scan.uid, InstanceNumber=number,
            FrameOfReferenceUID=f'{scan.uid}.0',
            ImagePositionPatient=[round(value, 6) for value in position.tolist()],
            ImageOrientationPatient=direction[:, :2].T.ravel().round(9).tolist(),
            PixelSpacing=list(geometry.spacing[1::-1]), SliceThickness=geometry.spacing[2] * step,
        ))  # fmt: skip


def _image(hu: np.ndarray, uid: str, fields: dict) -> Dataset:
    image = Dataset()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = CTImageStorage
    image.file_meta.MediaStorageSOPInstanceUID = uid
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    fields |= dict(
        PatientName=PATIENT, PatientID=PATIENT, SOPClassUID=CTImageStorage, SOPInstanceUID=uid,
        Modality='CT', ImageType=['ORIGINAL', 'PRIMARY', 'AXIAL'], ConvolutionKernel='STANDARD',
        RescaleSlope=1, RescaleIntercept=INTERCEPT, Rows=hu.shape[0], Columns=hu.shape[1],
        SamplesPerPixel=1, PhotometricInterpretation='MONOCHROME2', BitsAllocated=16,
        BitsStored=16, HighBit=15, PixelRepresentation=0,
    )  # fmt: skip
    for name, value in fields.items():
        setattr(image, name, value)
    image.PixelData = (hu.astype(int) - INTERCEPT).astype(np.uint16).tobytes()
    return image


def _write(folder: Path, images: list[Dataset]) -> None:
    with staged(folder) as scratch:
        for number, image in enumerate(images):
            image.save_as(scratch / f'{number:04d}.dcm', enforce_file_format=True)
