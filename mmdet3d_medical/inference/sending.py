"""DICOM files on their way to a PACS, by the STOW-RS service of DICOMweb."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pydicom

from mmdet3d_medical.datasets.converters.dicom.headers import silence

if TYPE_CHECKING:
    from dicomweb_client import DICOMwebClient

SECONDS = 60  # without an answer
HINTS = {
    401: 'user or password are wrong or missing',
    403: 'this user may not store',
    404: 'there is no DICOMweb service at this URL',
    413: 'too large for the server',
}


class SendError(Exception):
    """Why files were not stored; tells nothing of what they hold."""


def connect(url: str, user: str | None = None, password: str = '') -> DICOMwebClient:
    """A client of a DICOMweb service; nothing is sent yet.

    Args:
        url: Of the service.
        user: Name to log in with; by default none.
        password: Of this user.
    """
    import requests
    from dicomweb_client import DICOMwebClient

    session = requests.Session()
    session.trust_env = False  # else ~/.netrc would log in, and a proxy would see patient data
    session.verify = os.environ.get('REQUESTS_CA_BUNDLE') or True  # of hospitals, often their own
    session.max_redirects = 0  # a redirected POST becomes a GET, which stores nothing
    if user is not None:
        session.auth = (user, password)
    client = DICOMwebClient(url, session=session, timeout=SECONDS)
    client.set_http_retry_params(retry=False)  # it would wait for half a minute
    return client


def send_files(client: DICOMwebClient, paths: Sequence[Path]) -> None:
    """Store files that belong together.

    Raises:
        SendError: In one line, if they cannot be read, or the server does not store all of them.
    """
    import requests

    try:
        with silence():
            datasets = [_read(path) for path in paths]
            answer = client.store_instances(datasets)
    except SendError:
        raise
    except requests.exceptions.HTTPError as error:
        status = error.response.status_code
        hint = HINTS.get(status, error.response.reason or 'no reason given')
        raise SendError(f'the server refused (HTTP {status}): {hint}') from None
    except requests.exceptions.Timeout:
        raise SendError(f'no answer within {SECONDS} seconds') from None
    except requests.exceptions.SSLError:
        raise SendError('the certificate of the server cannot be verified') from None
    except requests.exceptions.TooManyRedirects:
        raise SendError('the server redirects to another URL: give that one') from None
    except requests.exceptions.ConnectionError:
        raise SendError('no connection: is the server running, and the URL right?') from None
    except Exception as error:  # an answer that is none of DICOMweb, which parsers refuse
        raise SendError(f'the answer is none of DICOMweb: {type(error).__name__}') from None
    _check_answer(answer, datasets)


def _read(path: Path) -> pydicom.Dataset:
    try:
        return pydicom.dcmread(path)
    except Exception as error:  # as in the converters: whatever a parser meets in a broken file
        raise SendError(f'{path} cannot be read: {type(error).__name__}') from None


def _check_answer(answer: pydicom.Dataset, datasets: Sequence[pydicom.Dataset]) -> None:
    """Check that the server names every object as stored: one may store some and refuse others."""
    stored = {item.ReferencedSOPInstanceUID for item in answer.get('ReferencedSOPSequence') or ()}
    missing = sum(dataset.SOPInstanceUID not in stored for dataset in datasets)
    if missing:
        reasons = {
            f'{item.FailureReason:#06x}'
            for item in answer.get('FailedSOPSequence') or ()
            if item.get('FailureReason') is not None
        }
        told = f' (reason {", ".join(sorted(reasons))})' if reasons else ''
        raise SendError(f'{missing} of {len(datasets)} objects were not stored{told}')
