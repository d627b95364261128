"""Small DICOM series to convert, and what a conversion gives."""

import csv

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from mmdet3d_medical.datasets.converters import ConvertSettings, SeriesRules, convert_dicom
from mmdet3d_medical.datasets.index import read_index

RULES = SeriesRules(min_slices=4)
SETTINGS = ConvertSettings()
SHAPE = (6, 10, 8)
ORIGIN = (-12.5, 40.25, -310.0)
SPACING = (0.75, 0.5, 2.5)  # x, y, z: rows of pixels are 0.5 mm apart
PATIENT = 'QUIXOTE^ALONSO'


def make_voxels(seed=0):
    return np.random.default_rng(seed).integers(-1000, 1500, SHAPE).astype(np.int16)


def make_slice(pixels, position, number, series='1.2.3', study='1.2', **tags):
    """One CT image with a patient's name in it."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = f'{series}.{number + 1}'
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset = Dataset()
    dataset.file_meta = meta
    fields = dict(
        PatientName=PATIENT,
        PatientID=PATIENT,
        PatientBirthDate='15470929',
        SOPClassUID=CTImageStorage,
        SOPInstanceUID=f'{series}.{number + 1}',
        SeriesInstanceUID=series,
        StudyInstanceUID=study,
        Modality='CT',
        InstanceNumber=number,
        SeriesDescription=PATIENT,
        ImageType=['ORIGINAL', 'PRIMARY', 'AXIAL'],
        ImagePositionPatient=[round(float(p), 6) for p in position],
        ImageOrientationPatient=[1, 0, 0, 0, 1, 0],
        PixelSpacing=[SPACING[1], SPACING[0]],
        SliceThickness=SPACING[2],
        ConvolutionKernel='B30f',
        RescaleSlope=1,
        RescaleIntercept=-1024,
        Rows=pixels.shape[0],
        Columns=pixels.shape[1],
        SamplesPerPixel=1,
        PhotometricInterpretation='MONOCHROME2',
        BitsAllocated=16,
        BitsStored=16,
        HighBit=15,
        PixelRepresentation=0,
    )
    for name, value in {**fields, **tags}.items():
        if value is not None:
            setattr(dataset, name, value)
    stored = (pixels.astype(float) - float(dataset.get('RescaleIntercept', 0))) / float(
        dataset.get('RescaleSlope', 1) or 1
    )
    kind = np.int16 if dataset.PixelRepresentation else np.uint16
    dataset.PixelData = np.rint(stored).astype(kind).tobytes()
    return dataset


def positions(orientation=(1, 0, 0, 0, 1, 0), count=SHAPE[0], step=SPACING[2]):
    normal = np.cross(orientation[:3], orientation[3:])
    return np.array(ORIGIN) + np.outer(np.arange(count) * step, normal)


def write_series(folder, voxels, series='1.2.3', places=None, **tags):
    """A slice in each file, in an order that is not that of the slices; returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    orientation = tags.get('ImageOrientationPatient') or (1, 0, 0, 0, 1, 0)
    places = positions(orientation, len(voxels)) if places is None else places
    paths, prime = [], 11 if len(voxels) < 12 else 997
    for number, (pixels, place) in enumerate(zip(voxels, places, strict=True)):
        paths.append(folder / f'{(number * 7) % prime:02d}-{series}.dcm')
        make_slice(pixels, place, number, series, **tags).save_as(
            paths[-1], enforce_file_format=True
        )
    return paths


def write_twin(path, voxels, orientation=(1, 0, 0, 0, 1, 0)):
    """The same scan as ``.mhd``."""
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    image = sitk.GetImageFromArray(voxels)
    image.SetOrigin(ORIGIN)
    image.SetSpacing(SPACING)
    image.SetDirection(np.stack([row, column, np.cross(row, column)], 1).ravel().tolist())
    sitk.WriteImage(image, str(path))


def convert(root, out, rules=RULES, **options):
    return convert_dicom(root, out, SETTINGS, rules, **options)


def rows_of(out):
    with (out / 'report.csv').open(newline='') as file:
        return {row['seriesuid']: row for row in csv.DictReader(file)}


def only_row(tmp_path, rules=RULES, **options):
    """The report's only line, of a folder without a series that can be used."""
    with pytest.raises(ValueError, match='no series can be used'):
        convert(tmp_path / 'in', tmp_path / 'out', rules, **options)
    (row,) = rows_of(tmp_path / 'out').values()
    return row


def assert_same_conversion(one, two, scan_id):
    """Check that two caches hold the same scan; the geometry may differ in the last digits."""
    scans = [
        {s['scan_id']: s for s in read_index(out / 'index.json')['scans']}[scan_id]
        for out in (one, two)
    ]
    for key in ('origin', 'spacing', 'direction', 'shape'):
        np.testing.assert_allclose(*[scan['geometry'][key] for scan in scans], atol=1e-5)
    np.testing.assert_array_equal(*[np.load(out / f'volumes/{scan_id}.npy') for out in (one, two)])


def write_study(root):
    """Four series of a study: thin and sharp, thin and soft, the same but longer, thick."""
    voxels = make_voxels()
    write_series(
        root / 'x', voxels, '1.1', positions(step=1), SliceThickness=1.25, ConvolutionKernel='B70f'
    )
    write_series(
        root / 'x',
        voxels[:5],
        '1.2',
        positions(step=1)[:5],
        SliceThickness=1.25,
        ConvolutionKernel='B30f',
    )
    write_series(
        root / 'y/z',
        voxels,
        '1.3',
        positions(step=1),
        SliceThickness=1.25,
        ConvolutionKernel='B30f',
    )
    write_series(root, voxels, '1.4', SliceThickness=2, ConvolutionKernel='B30f')
