"""The same as ``mmdet3d-medical convert-dicom``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('convert-dicom')
