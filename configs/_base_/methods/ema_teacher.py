# What Dense Teacher, Soft Teacher and Unbiased Teacher share: a moving average of the detector
# guesses on patches as they are, and is tested; the detector sees them under strong changes.
_base_ = './focalmix.py'
method = dict(
    teacher=dict(type='EMATeacher', momentum=0.004),
    student=[
        dict(type='StrongContrast'),
        dict(type='StrongNoise'),
        dict(type='StrongBlur'),
        dict(type='StrongErasing'),
    ],
    mixers=dict(image=None, object=None),
    predict_on='teacher',
)
