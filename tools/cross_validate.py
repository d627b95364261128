"""The same as ``mmdet3d-medical cross-validate``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('cross-validate')
