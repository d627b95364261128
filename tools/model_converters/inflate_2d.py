"""The same as ``mmdet3d-medical inflate-2d``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('inflate-2d')
