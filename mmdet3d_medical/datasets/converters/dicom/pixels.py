"""The Hounsfield units of one DICOM image: stored values, padding, slope and intercept."""

import tempfile
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import generate_frames
from pydicom.uid import UID, RLELossless, SecondaryCaptureImageStorage, UID_dictionary

from ..image_io import AIR, MAX_HU
from .headers import numbers, silence

TISSUE_HU = (-950, 300)  # lungs and soft tissue; there padding cannot be told from the body
END_OF_CODE = b'\xff\xd9'  # of JPEG, JPEG-LS and JPEG 2000
DESCRIPTION = (
    'Rows',
    'Columns',
    'BitsAllocated',
    'BitsStored',
    'HighBit',
    'PixelRepresentation',
    'PixelData',
)


class PixelError(ValueError):
    """Pixels that cannot be used. The message quotes no text of the file."""


def read_slice(path: str) -> np.ndarray:
    """Read one image as HU (H, W), int16, the same whatever way it is to be displayed.

    What the file declares as padding is air, and so is all that is below air.

    Raises:
        PixelError: If the file is gone, cut off or damaged, or its values are no HU.
    """
    with silence():
        try:
            dataset = pydicom.dcmread(path)
        except Exception:  # whatever a parser meets; pydicom has no common class
            raise PixelError('the file is gone or cut off') from None
        try:
            return _to_hu(_read_words(dataset), dataset)
        except PixelError as error:
            raise PixelError(f'{error} ({_syntax(dataset)})') from None
        except Exception:  # their messages may hold paths and text of the header
            raise PixelError(
                f'it is damaged or of a kind that is not read ({_syntax(dataset)})'
            ) from None


def _read_words(dataset: Dataset) -> np.ndarray:
    """Pixels (H, W) in BitsAllocated bits, those above BitsStored as they are in the file."""
    if not dataset.get('PixelData'):
        raise PixelError('it has no pixels')
    kind = np.dtype(f'{"ui"[dataset.PixelRepresentation]}{dataset.BitsAllocated // 8}')
    syntax = dataset.file_meta.TransferSyntaxUID
    if not syntax.is_encapsulated:
        return _read_plain(dataset, kind.newbyteorder('<' if syntax.is_little_endian else '>'))
    words = dataset.pixel_array if syntax == RLELossless else _decode_by_gdcm(dataset)
    if words.shape != (dataset.Rows, dataset.Columns):
        raise PixelError(
            f'its pixels are {words.shape[0]} x {words.shape[1]}, but Rows x Columns '
            f'{dataset.Rows} x {dataset.Columns}'
        )
    return words.astype(kind)


def _read_plain(dataset: Dataset, kind: np.dtype) -> np.ndarray:
    shape = dataset.Rows, dataset.Columns
    expected = shape[0] * shape[1] * kind.itemsize
    if len(dataset.PixelData) != expected + expected % 2:  # elements have even lengths
        raise PixelError(
            f'it has {len(dataset.PixelData)} bytes of pixels, but Rows x Columns of '
            f'{shape[0]} x {shape[1]} take {expected}: copy the file again'
        )
    words = np.frombuffer(dataset.PixelData, kind, shape[0] * shape[1]).reshape(shape)
    return words.astype(kind.newbyteorder('='))


def _decode_by_gdcm(dataset: Dataset) -> np.ndarray:
    """Decompress by GDCM, which knows more kinds than pydicom does.

    It gets the pixels and what describes them, nothing else: it would invert MONOCHROME1, and
    apply slope and intercept before padding can be told from tissue.
    """
    (frame,) = generate_frames(dataset.PixelData, number_of_frames=1)
    if not frame.rstrip(b'\0').endswith(END_OF_CODE):
        raise PixelError('its compressed pixels are cut off')
    plain = Dataset()
    plain.file_meta = FileMetaDataset()
    plain.file_meta.TransferSyntaxUID = dataset.file_meta.TransferSyntaxUID
    plain.SOPClassUID, plain.SOPInstanceUID = SecondaryCaptureImageStorage, '1.2.3'
    plain.PhotometricInterpretation, plain.SamplesPerPixel = 'MONOCHROME2', 1
    for name in DESCRIPTION:
        plain[name] = dataset[name]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'pixels.dcm'
        plain.save_as(path, enforce_file_format=True)
        reader = sitk.ImageFileReader()
        reader.SetImageIO('GDCMImageIO')
        reader.SetFileName(str(path))
        return sitk.GetArrayFromImage(reader.Execute())[0]


def _to_hu(words: np.ndarray, dataset: Dataset) -> np.ndarray:
    stored = _stored(words, dataset.BitsStored)
    hu = stored * float(dataset.RescaleSlope)
    hu += float(dataset.RescaleIntercept)  # in place: memory is what takes the time
    padding = _is_padding(words, stored, dataset)
    tissue = hu[padding & (hu > TISSUE_HU[0]) & (hu < TISSUE_HU[1])]
    if len(tissue):
        raise PixelError(f'its PixelPaddingValue means {tissue[0]:g} HU, which tissue has too')
    hu[padding] = AIR
    if hu.max() > MAX_HU:
        raise PixelError(
            f'it has values of {hu.max():g} HU, at most {MAX_HU} were expected: if '
            'they are padding, PixelPaddingValue is missing'
        )
    np.maximum(hu, AIR, out=hu)
    hu += 0.5  # rounds a half upwards, as image_io.to_int16 does
    return np.floor(hu, out=hu).astype(np.int16)


def _stored(words: np.ndarray, bits: int) -> np.ndarray:
    """Values of the lowest bits; those above may hold overlays, or not repeat the sign."""
    unused = words.dtype.itemsize * 8 - bits
    return (words << unused) >> unused


def _is_padding(words: np.ndarray, stored: np.ndarray, dataset: Dataset) -> np.ndarray:
    """Where an image (H, W) holds PixelPaddingValue, or what lies from it to the range's limit.

    Both are stored values, before slope and intercept. Some scanners write them with the other
    sign, or in more bits than the pixels have: then the bits of the whole word are compared.
    """
    edges = _padding_edges(dataset)
    if edges is None:
        return np.zeros(words.shape, bool)
    as_words = edges.astype(words.dtype)
    if len(set(as_words != edges)) > 1:
        raise PixelError('its padding range is of both signs, but its pixels are not')
    fits = (_stored(as_words, dataset.BitsStored) == as_words).all()
    values = stored if fits else words
    return (values >= as_words.min()) & (values <= as_words.max())


def _padding_edges(dataset: Dataset) -> np.ndarray | None:
    """Two integers, the same without a range; ``None`` where no padding is declared."""
    names = [
        name
        for name in ('PixelPaddingValue', 'PixelPaddingRangeLimit')
        if dataset.get(name) not in (None, '')
    ]
    if 'PixelPaddingValue' not in names:
        return None
    edges = [numbers(dataset, name, 1) for name in names]
    if None in edges:
        raise PixelError('its PixelPaddingValue or PixelPaddingRangeLimit is no number')
    return np.array([edges[0], edges[-1]], np.int64).ravel()


def _syntax(dataset: Dataset) -> str:
    """Name of the transfer syntax. The text of the header is no name."""
    uid = UID(str(dataset.file_meta.get('TransferSyntaxUID', '')))
    return uid.name if uid in UID_dictionary else 'unknown transfer syntax'
