#!/usr/bin/env bash
# Trains and packs the detector `luna16-nodules`; README.md says what it needs. 90 minutes on a core.
# A second run goes on where the first was stopped.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=projects/luna16_nodules
work=work_dirs/luna16_nodules
tool="${PYTHON:-python} -m mmdet3d_medical"
scan='split=["1.3.6.1.4.1.14519.5.2.1.6279.6001.619372068417051974713149104919"]'

[ -f $work/first/iter_8000.pth ] || $tool train $here/first.py --work-dir $work/first --resume
# What the first detector takes for nodules in what it was trained on.
[ -f $work/cube_marks.csv ] || $tool test $here/first.py $work/first/iter_8000.pth \
    --work-dir $work/mining --out $work/cube_marks.csv \
    --cfg-options test_dataloader.dataset.split=splits/draw0/train.txt
[ -f $work/scan_marks.csv ] || $tool test $here/first.py $work/first/iter_8000.pth \
    --work-dir $work/mining --out $work/scan_marks.csv \
    --cfg-options test_dataloader.dataset.data_root=data/luna16_scans/ \
    "test_dataloader.dataset.$scan"
[ -f $work/hard/iter_4000.pth ] || $tool train $here/hard.py --work-dir $work/hard --resume
# The score that counts is chosen on validation windows; a window of 40^3 mm stands for .0128 of
# the 5 liters of two lungs.
$tool test $here/first.py $work/hard/iter_4000.pth --work-dir $work/validation \
    --out $work/validation_marks.csv
$tool pack $here/hard.py $work/hard/iter_4000.pth -o $work/luna16-nodules \
    --marks $work/validation_marks.csv --annotations data/nodules/index.json \
    --seriesuids data/nodules/splits/draw0/validation.txt --scan-share 0.0128 --fp-per-scan 2 \
    --spacing 1 1 1 --crop lungs --card $here/model_card.md \
    --summary 'Lung nodules of 3 mm and more in chest CT.' \
    --measured-on '199 validation windows of 40^3 mm around nodules of LUNA16'
