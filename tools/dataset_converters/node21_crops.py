"""The same as ``mmdet3d-medical convert-node21-crops``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('convert-node21-crops')
