"""The same as ``mmdet3d-medical eval-froc``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('eval-froc')
