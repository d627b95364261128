"""The same as ``mmdet3d-medical monai-to-mmdet3d``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('monai-to-mmdet3d')
