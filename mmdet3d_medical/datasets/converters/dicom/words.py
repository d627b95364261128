"""Words of headers that may be told: those that are known. Other free text may name a patient."""

import re

OTHER = 'other'
MODALITIES = frozenset(
    'AU CR DOC DX ECG ES GM IO IVUS KO MG MR NM OCT OP OT PR PT PX REG RF RTDOSE RTIMAGE RTPLAN '
    'RTRECORD RTSTRUCT SC SEG SM SR US XA XC'.split()
)
KERNELS = frozenset(
    'BODY BONE BONEPLUS BRAIN CHEST DETAIL EDGE HEAD LUNG SHARP SMOOTH SOFT STANDARD STND '
    'ULTRA'.split()
)
# Letters around a number, as B30f, Br40d/3 and FC08-H, or one or two letters alone
KERNEL_CODE = re.compile(r'[A-Za-z]{1,2}([0-9]{1,3}[A-Za-z]{0,2})?(-[A-Z])?(/[0-9])?')


def modality_word(modality: str) -> str:
    """A modality of the standard as it is, 'unknown' if empty, else 'other'."""
    return modality if modality in MODALITIES else OTHER if modality else 'unknown'


def kernel_word(kernel: str) -> str:
    """A convolution kernel as the makers of scanners call theirs, '' if empty, else 'other'."""
    known = kernel.upper() in KERNELS or KERNEL_CODE.fullmatch(kernel) or not kernel
    return kernel if known else OTHER
