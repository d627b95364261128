"""Builds and installs the package: `pip install .`, or to develop `pip install -e .[tests]`."""

import os
import runpy
import shutil
import subprocess
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
NAME = 'mmdet3d_medical'
SHIPPED = ('configs', 'tools', 'model-index.yml')
RUN = ('dicom', 'onnxruntime', 'openvino', 'dask', 'slurm', 'blosc2')  # extras, all tested


class BuildWithConfigs(build_py):
    """Ships configs and tools inside the package as ``.mim``, where mmengine looks for them.

    A wheel gets copies, an editable installation gets links to the files being edited.
    """

    def run(self):
        super().run()
        self._add_viewer()
        mim = (ROOT if self.editable_mode else Path(self.build_lib)) / NAME / '.mim'
        shutil.rmtree(mim, ignore_errors=True)
        mim.mkdir(parents=True)
        for name in SHIPPED:
            if self.editable_mode:
                (mim / name).symlink_to(os.path.relpath(ROOT / name, mim))
            elif (ROOT / name).is_dir():
                shutil.copytree(
                    ROOT / name, mim / name, ignore=shutil.ignore_patterns('__pycache__')
                )
            else:
                shutil.copy(ROOT / name, mim)

    def _add_viewer(self):
        """Get the viewer of reports from npm; without it they show still pictures."""
        viewer = runpy.run_path(str(ROOT / NAME / 'inference/report/viewer.py'))
        target = (ROOT if self.editable_mode else Path(self.build_lib)) / NAME
        target = target / 'inference/report' / viewer['PATH'].name
        if target.is_file():
            return
        try:
            viewer['fetch'](target)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f'no viewer for reports, they will show still pictures: {error}')


def requirements(*names: str) -> list[str]:
    """Requirements listed in ``requirements/<name>.txt``, without comments."""
    texts = [(ROOT / 'requirements' / f'{name}.txt').read_text() for name in names]
    lines = [line.partition('#')[0].strip() for text in texts for line in text.splitlines()]
    return [line for line in lines if line]


setup(
    name=NAME,
    version=runpy.run_path(str(ROOT / NAME / 'version.py'))['__version__'],
    description='3D lesion detection in CT volumes with OpenMMLab',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    license_files=['LICENSE'],
    keywords='computer vision, medical imaging, object detection, CT, lung nodule, OpenMMLab',
    classifiers=[
        'Development Status :: 3 - Alpha',
        'Intended Audience :: Science/Research',
        'Operating System :: OS Independent',
        'Programming Language :: Python :: 3.10',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Medical Science Apps.',
    ],
    python_requires='>=3.10',
    packages=find_packages(include=[NAME, f'{NAME}.*']),
    include_package_data=True,
    install_requires=requirements('runtime', 'mminstall'),
    extras_require={
        'tests': requirements('tests', *RUN),
        'docs': requirements('docs'),
        'optional': requirements('optional'),
        **{name: requirements(name) for name in RUN},
        'all': requirements('tests', 'docs', 'optional', *RUN),
    },
    cmdclass={'build_py': BuildWithConfigs},
    entry_points={'console_scripts': ['mmdet3d-medical = mmdet3d_medical.cli:main']},
    zip_safe=False,
)
