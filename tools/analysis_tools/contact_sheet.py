"""The same as ``mmdet3d-medical contact-sheet``."""

from mmdet3d_medical.cli import main

if __name__ == '__main__':
    main('contact-sheet')
