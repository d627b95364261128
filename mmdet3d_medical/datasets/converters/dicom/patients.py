"""Names for patients that tell nothing of them: which series belong to the same one."""

import hashlib
import hmac
import os
import secrets
import tempfile
from pathlib import Path

KEY = 'patient_key'  # file in the folder of a cache
MIN_BYTES = 16
DIGITS = 16
NOBODY = {'', 'anonymous', 'anonymized', 'anonymised', 'anon', 'deidentified', 'de-identified',
          'none', 'no id', 'unknown', 'na', 'n/a', 'null', 'patient', 'test', 'xxx'}  # fmt: skip


def hash_patient(patient: str, key: bytes) -> str | None:
    """Name of a patient, 16 hexadecimal digits. Without the key, an id cannot be looked up.

    Args:
        patient: Id of the patient. Who gave it plays no part, as some studies of a patient may not
            say so: patients of two hospitals with one id count as one, which is the safe side.
        key: The same key gives the same names.

    Returns:
        The name; ``None`` without an id, or with a word that stands for none: it would make one
        patient of many.
    """
    if patient.strip(' -_.0').casefold() in NOBODY:
        return None
    return hmac.new(key, patient.encode(), hashlib.sha256).hexdigest()[:DIGITS]


def make_key(path: Path) -> bytes:
    """Read the key of a cache; the first time, draw it, for the eyes of its user only."""
    if not path.exists():
        handle, scratch = tempfile.mkstemp(prefix=f'.{KEY}.', dir=path.parent)  # mode 0600
        with os.fdopen(handle, 'w') as file:
            file.write(secrets.token_hex(32) + '\n')
        os.replace(scratch, path)
    return read_key(path)


def read_key(path: str | Path) -> bytes:
    """Read a key.

    Raises:
        ValueError: If there is no such file, or it is too short to be one.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(
            f'{path}: no such file; expected a key, as {KEY} in the folder of another data set'
        )
    key = path.read_bytes().strip()
    if len(key) < MIN_BYTES:
        raise ValueError(
            f'{path}: expected a key of {MIN_BYTES} random bytes or more, found '
            f'{len(key)}: if no data set was made with it, remove it'
        )
    return key
