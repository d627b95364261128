"""The same as ``mmdet3d-medical estimate-cost``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('estimate-cost')
