"""DICOM pixels: what the tags around them say of their values, and pixels that are not all there.

Every slice's stored values are the words below, whatever the tags say; what they mean in HU is
worked out by hand.
"""

import locale
import tempfile

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    RLELossless,
)

from mmdet3d_medical.datasets.converters.dicom.pixels import read_slice

from .dicom_series import convert, make_slice, only_row, positions, rows_of

SHAPE = (10, 8)
AIR = -1024
TWELVE = dict(BitsStored=12, HighBit=11)
JPEGS = {JPEG2000Lossless: 'JPEG2000', JPEGLosslessSV1: 'JPEG'}


def fill(words):
    """(H, W): these words over and over."""
    return np.resize(np.array(words, np.int64).astype(np.uint16), SHAPE)


def write_words(folder, words, syntax=None, count=4, **tags):
    """A series of equal slices; returns the paths."""
    folder.mkdir(parents=True)
    paths = []
    for number, place in enumerate(positions(count=count)):
        dataset = make_slice(np.zeros(SHAPE, np.int16), place, number, **tags)
        dataset.PixelData = fill(words).tobytes()
        if syntax:
            encode(dataset, fill(words), syntax)
        paths.append(folder / f'{number}.dcm')
        dataset.save_as(paths[-1], enforce_file_format=True)
    return paths


def encode(dataset, words, syntax):
    dataset.file_meta.TransferSyntaxUID = syntax
    if syntax == ExplicitVRBigEndian:
        dataset.PixelData = words.astype('>u2').tobytes()
    elif syntax == RLELossless:
        plain = make_slice(np.zeros(words.shape, np.int16), (0, 0, 0), 0)
        plain.compress(RLELossless, words, generate_instance_uid=False)
        dataset.PixelData = plain.PixelData
    elif syntax in JPEGS:
        signed = words.astype(np.int16 if dataset.PixelRepresentation else np.uint16)
        dataset.PixelData = compress(signed, JPEGS[syntax])


def compress(words, compressor):
    """Encapsulated pixels, compressed by GDCM."""
    before = locale.setlocale(locale.LC_ALL)  # which ITK leaves as "C"
    with tempfile.TemporaryDirectory() as folder:
        writer = sitk.ImageFileWriter()
        writer.SetImageIO('GDCMImageIO')
        writer.UseCompressionOn()
        writer.SetCompressor(compressor)
        writer.SetCompressionLevel(100)  # of the quality, which is no loss
        writer.SetFileName(f'{folder}/slice.dcm')
        writer.Execute(sitk.GetImageFromArray(words))
        locale.setlocale(locale.LC_ALL, before)
        return pydicom.dcmread(f'{folder}/slice.dcm').PixelData


def converted(tmp_path):
    convert(tmp_path / 'in', tmp_path / 'out')
    volume = np.load(tmp_path / 'out/volumes/1.2.3.npy')
    assert (volume == volume[0]).all()
    return volume[0]


def failure(tmp_path, **options):
    """The message of the only series, which fails."""
    report = convert(tmp_path / 'in', tmp_path / 'out', **options)
    assert report.scans == 0
    message = report.failures['1.2.3']
    assert message.startswith('series 1.2.3: slice ') and ' cannot be decoded: ' in message
    return message


PADDED = {  # words, tags, HU
    'unsigned, as unsigned': ([63536, 24, 1064], dict(PixelPaddingValue=63536), [AIR, -1000, 40]),
    'signed': (
        [-2000, -900, 40],
        dict(PixelPaddingValue=-2000, PixelRepresentation=1, RescaleIntercept=0),
        [AIR, -900, 40],
    ),
    'largest of 12 bits': (
        [4095, 24, 1064],
        dict(PixelPaddingValue=4095, **TWELVE),
        [AIR, -1000, 40],
    ),
    'largest of 16 bits': ([65535, 24, 1064], dict(PixelPaddingValue=65535), [AIR, -1000, 40]),
    'beyond the bits stored': (
        [63536, 2096, 1064],
        dict(PixelPaddingValue=63536, **TWELVE),
        [AIR, 1072, 40],
    ),  # 63536 % 4096 = 2096 is bone elsewhere
    'range upwards': (
        [3000, 3050, 3100, 2999, 3101],
        dict(PixelPaddingValue=3000, PixelPaddingRangeLimit=3100),
        [AIR, AIR, AIR, 1975, 2077],
    ),
    'range downwards': (
        [10, 20, 1064],
        dict(PixelPaddingValue=15, PixelPaddingRangeLimit=0),
        [AIR, -1004, 40],
    ),
    'with slope': (
        [3000, 1000, 10],
        dict(PixelPaddingValue=3000, RescaleSlope=2, RescaleIntercept=-1000),
        [AIR, 1000, -980],
    ),
    'under overlay bits': (
        [0x1000 | 4095, 0x8000 | 1064],
        dict(PixelPaddingValue=4095, **TWELVE),
        [AIR, 40],
    ),
    'a range without a value': ([3000, 1064], dict(PixelPaddingRangeLimit=3000), [1976, 40]),
    'empty': ([3000, 1064], dict(PixelPaddingValue=''), [1976, 40]),
    'MONOCHROME1': (
        [3000, 1064],
        dict(PixelPaddingValue=3000, PhotometricInterpretation='MONOCHROME1'),
        [AIR, 40],
    ),
}


@pytest.mark.tried('DICOM', 'padding of any number, sign and range', 'air, -1024 HU')
@pytest.mark.parametrize('words, tags, expected', PADDED.values(), ids=PADDED)
def test_padding_is_air(tmp_path, words, tags, expected):
    write_words(tmp_path / 'in', words, **tags)
    np.testing.assert_array_equal(converted(tmp_path), np.resize(expected, SHAPE))


@pytest.mark.parametrize('syntax', [RLELossless, *JPEGS], ids=str)
def test_padding_of_compressed_pixels(tmp_path, syntax):
    tags = dict(PixelPaddingValue=3000, PhotometricInterpretation='MONOCHROME1')
    (path,) = write_words(tmp_path / 'in', [3000, 1064], syntax, count=1, **tags)
    np.testing.assert_array_equal(read_slice(str(path)), np.resize([AIR, 40], SHAPE))


def test_padding_of_the_other_sign_in_the_header(tmp_path):
    """Written as SS, -2000, beside unsigned pixels whose bits are the same."""
    paths = write_words(tmp_path / 'in', [63536, 1064])
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.add_new('PixelPaddingValue', 'SS', -2000)
        dataset.save_as(path)
    np.testing.assert_array_equal(converted(tmp_path), np.resize([AIR, 40], SHAPE))


@pytest.mark.tried(
    'DICOM', 'a padding range of both signs beside unsigned pixels', 'the series fails'
)
def test_padding_range_of_both_signs(tmp_path):
    paths = write_words(tmp_path / 'in', [1064])
    for path in paths:
        dataset = pydicom.dcmread(path)
        dataset.add_new('PixelPaddingValue', 'SS', -1)
        dataset.add_new('PixelPaddingRangeLimit', 'SS', 3)
        dataset.save_as(path)
    assert 'padding range is of both signs' in failure(tmp_path)


STORED = {  # words, tags, HU
    'MONOCHROME1': (
        [0, 1064, 4024],
        dict(PhotometricInterpretation='MONOCHROME1'),
        [AIR, 40, 3000],
    ),
    'MONOCHROME1 of 12 bits': (
        [0, 1064, 4024],
        dict(PhotometricInterpretation='MONOCHROME1', **TWELVE),
        [AIR, 40, 3000],
    ),
    '12 bits': ([0, 24, 4095], TWELVE, [AIR, -1000, 3071]),
    '12 bits, overlays above': ([0x1000 | 24, 0xF000 | 4095], TWELVE, [-1000, 3071]),
    '12 bits signed': (
        [-1000, 2047],
        dict(TWELVE, PixelRepresentation=1, RescaleIntercept=0),
        [-1000, 2047],
    ),
    '12 bits signed, sign not repeated': (  # 0xC18 is -1000 in 12 bits
        [0x0C18, 40],
        dict(TWELVE, PixelRepresentation=1, RescaleIntercept=0),
        [-1000, 40],
    ),
    'a half is rounded up': (
        [1, 3, 2049],
        dict(RescaleSlope='0.5', RescaleIntercept=-1000),
        [-999, -998, 25],
    ),
    'negative slope': (
        [0, 1000, 2000],
        dict(RescaleSlope=-1, RescaleIntercept=1000),
        [1000, 0, -1000],
    ),
}


@pytest.mark.tried(
    'DICOM', 'MONOCHROME1, which tells how to display', 'HU are slope x stored + intercept'
)
@pytest.mark.tried(
    'DICOM',
    '12 bits in words of 16, signed or not, overlays above them',
    'the bits stored, with their sign',
)
@pytest.mark.parametrize(
    'syntax',
    [None, ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, *JPEGS],
    ids=str,
)
@pytest.mark.parametrize('words, tags, expected', STORED.values(), ids=STORED)
def test_stored_values(tmp_path, words, tags, expected, syntax):
    (path,) = write_words(tmp_path / 'in', words, syntax, count=1, **tags)
    hu = read_slice(str(path))
    np.testing.assert_array_equal(hu, np.resize(expected, SHAPE))
    if syntax not in JPEGS:  # pydicom's own decoding of the same files
        dataset = pydicom.dcmread(path)
        theirs = apply_modality_lut(dataset.pixel_array, dataset)
        np.testing.assert_array_equal(hu, np.floor(theirs + 0.5))


def test_sign_of_each_slice_is_its_own(tmp_path):
    paths = write_words(tmp_path / 'in', [1064])
    dataset = pydicom.dcmread(paths[1])
    dataset.PixelRepresentation, dataset.RescaleIntercept = 1, 0
    dataset.PixelData = fill([-900]).tobytes()
    dataset.save_as(paths[1])
    convert(tmp_path / 'in', tmp_path / 'out')
    volume = np.load(tmp_path / 'out/volumes/1.2.3.npy')
    assert np.unique(volume[1]) == [-900] and np.unique(volume[[0, 2, 3]]) == [40]


LEFT_OUT = {
    'colors': (dict(PhotometricInterpretation='RGB', SamplesPerPixel=3), 'pixel format'),
    'palette': (dict(PhotometricInterpretation='PALETTE COLOR'), 'pixel format'),
    'no photometric interpretation': (dict(PhotometricInterpretation=None), 'pixel format'),
    'left aligned': (dict(BitsStored=12, HighBit=15), 'pixel format'),
    'more stored than allocated': (dict(BitsStored=17, HighBit=16), 'pixel format'),
    '12 allocated': (dict(BitsAllocated=12, BitsStored=12, HighBit=11), 'pixel format'),
    'no sign': (dict(PixelRepresentation=None), 'pixel format'),
    'table': (dict(ModalityLUTSequence=Sequence()), 'not HU'),
    'slope 0': (dict(RescaleSlope=0), 'not HU'),
}


@pytest.mark.tried(
    'DICOM', 'colors, bits that are not the lowest, a modality table', 'left out, with the reason'
)
@pytest.mark.parametrize('tags, reason', LEFT_OUT.values(), ids=LEFT_OUT)
def test_pixels_that_are_no_plain_integers(tmp_path, tags, reason):
    paths = write_words(tmp_path / 'in', [1064])
    for path in paths:
        dataset = pydicom.dcmread(path)
        for name, value in tags.items():
            if value is None:
                del dataset[name]
            else:
                setattr(dataset, name, value)
        dataset.save_as(path)
    assert only_row(tmp_path)['reason'] == reason


@pytest.mark.tried('DICOM', 'a slope that is no number', 'left out, with the reason')
@pytest.mark.parametrize('slope', [b'NaN ', b'inf ', b'1,5 '])
def test_slopes_that_are_no_numbers(tmp_path, slope):
    for path in write_words(tmp_path / 'in', [1064], RescaleSlope='1.25'):
        path.write_bytes(path.read_bytes().replace(b'DS\x04\x001.25', b'DS\x04\x00' + slope))
    assert only_row(tmp_path)['reason'] == 'not HU'


@pytest.mark.tried(
    'DICOM',
    'values above 32767 HU, padding that is not declared say',
    'the series fails, naming the slice',
)
@pytest.mark.parametrize(
    'words, tags, highest',
    [([63536], {}, '62512'), ([1000], dict(RescaleSlope=40, RescaleIntercept=0), '40000')],
)
def test_values_beyond_int16(tmp_path, words, tags, highest):
    write_words(tmp_path / 'in', words, **tags)
    assert f'slice 1 of 4 cannot be decoded: it has values of {highest} HU' in failure(tmp_path)


@pytest.mark.tried(
    'DICOM',
    'pixel data shorter or longer than Rows x Columns',
    'the series fails, naming the slice',
)
@pytest.mark.parametrize('size', [2, 80, 158, 162, 320])
def test_pixels_that_are_not_rows_times_columns(tmp_path, size):
    paths = write_words(tmp_path / 'in', [1064])
    dataset = pydicom.dcmread(paths[2])
    dataset.PixelData = (dataset.PixelData * 2)[:size]
    dataset.save_as(paths[2])
    message = failure(tmp_path)
    assert 'slice 3 of 4' in message and f'it has {size} bytes of pixels' in message
    assert 'Rows x Columns of 10 x 8 take 160' in message
    assert rows_of(tmp_path / 'out')['1.2.3']['detail'] == message


@pytest.mark.parametrize('syntax', [RLELossless, *JPEGS], ids=str)
@pytest.mark.tried(
    'DICOM',
    'compressed pixels that are cut off, empty or of another size',
    'the series fails, naming the slice',
)
@pytest.mark.parametrize('damage', ['cut off', 'empty', 'other size', 'file cut off'])
def test_damaged_compressed_pixels(tmp_path, syntax, damage):
    words = np.random.default_rng(0).integers(0, 3000, SHAPE)
    paths = write_words(tmp_path / 'in', words, syntax)
    dataset = pydicom.dcmread(paths[2])
    (frame,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
    if damage == 'file cut off':
        paths[2].write_bytes(paths[2].read_bytes()[:-60])
    elif damage == 'other size':
        other = make_slice(np.zeros((9, 8), np.int16), (0, 0, 0), 0)
        encode(other, fill([1064])[:9], syntax)
        dataset.PixelData = other.PixelData
        dataset.save_as(paths[2])
    else:
        dataset.PixelData = encapsulate([frame[:-40] if damage == 'cut off' else b'\0\0'])
        dataset.save_as(paths[2])
    assert 'slice 3 of 4' in failure(tmp_path)


@pytest.mark.tried(
    'DICOM',
    'a padding value that tissue has too, and such voxels',
    'the series fails, naming the value',
)
def test_padding_that_may_be_tissue_is_refused(tmp_path):
    tags = dict(RescaleIntercept='0', PixelPaddingValue=0, PixelRepresentation=1)
    paths = write_words(tmp_path / 'a', [0, 40, 100], **tags)
    with pytest.raises(ValueError, match='PixelPaddingValue means 0 HU, which tissue has too'):
        read_slice(str(paths[0]))
    paths = write_words(tmp_path / 'b', [7, 40, 100], **tags)  # none of them is there
    np.testing.assert_array_equal(read_slice(str(paths[0])), fill([7, 40, 100]))
