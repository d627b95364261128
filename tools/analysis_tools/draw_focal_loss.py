"""The same as ``mmdet3d-medical draw-focal-loss``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('draw-focal-loss')
