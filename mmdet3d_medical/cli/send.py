"""What ``mmdet3d-medical send`` does."""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from mmdet3d_medical.datasets.converters.report import one_line
from mmdet3d_medical.inference.formats.dicom import EXTRA, SEG, SR
from mmdet3d_medical.inference.sending import SendError, connect, send_files
from mmdet3d_medical.utils.errors import UsageError

PASSWORD = 'MMDET3D_DICOMWEB_PASSWORD'


def main(args: Namespace) -> int:
    scans = _find(args.out, args.scans)
    try:
        client = connect(_check(args.url), args.user, os.environ.get(PASSWORD, ''))
    except ModuleNotFoundError as error:
        raise UsageError(f'send needs {error.name}: {EXTRA}') from None
    failed = 0
    for number, (scan, files) in enumerate(scans.items(), start=1):
        count = f'[{number}/{len(scans)}] {scan}: '
        try:
            send_files(client, files)
        except SendError as error:
            failed += 1
            print(one_line(f'{count}failed: {error}'), file=sys.stderr, flush=True)
        else:
            print(one_line(f'{count}sent {", ".join(f.name for f in files)}'), flush=True)
    print(f'{len(scans) - failed} scans sent: {args.url}')
    if failed:
        print(f'{failed} failed', file=sys.stderr)
    return 2 if failed else 0


def _check(url: str) -> str:
    """The URL, if it is one and holds no password: command lines are seen by others."""
    parts = urlsplit(url)
    if parts.scheme not in ('http', 'https') or not parts.hostname:
        raise UsageError(f'URL must be like http://localhost:8042/dicom-web, found {url!r}')
    if '@' in parts.netloc:
        raise UsageError(f'URL must not hold a name or password: give --user and set {PASSWORD}')
    return url.rstrip('/')


def _find(out: Path, chosen: Sequence[str] | None) -> dict[str, list[Path]]:
    """Files of each scan below a folder, the segmentation before the report that refers to it."""
    if not out.is_dir():
        raise UsageError(f'{out}: no such folder')
    folders = [f for f in sorted(out.iterdir()) if f.is_dir() and (f / SR).is_file()]
    scans = {f.name: [f / name for name in (SEG, SR) if (f / name).is_file()] for f in folders}
    if not scans:
        raise UsageError(
            f'{out}: no scan has a {SR} there: run predict with --format dicom on DICOM series'
        )
    if missing := set(chosen or ()) - set(scans):
        raise UsageError(f'{out}: no {SR} of the scans {", ".join(sorted(missing))}')
    return {scan: scans[scan] for scan in scans if chosen is None or scan in chosen}
