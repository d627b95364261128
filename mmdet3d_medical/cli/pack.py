"""What ``mmdet3d-medical pack`` does."""

from argparse import Namespace
from pathlib import Path

from mmdet3d_medical.apis import load_config, trust_checkpoints
from mmdet3d_medical.apis.pack import pack_model
from mmdet3d_medical.evaluation.functional import FROCResult, froc
from mmdet3d_medical.evaluation.marks import check_spelling, read_marks, read_scan_ids
from mmdet3d_medical.evaluation.truth import read_truth, scans_to_score
from mmdet3d_medical.packing import voxels_of
from mmdet3d_medical.utils.errors import UsageError


def main(args: Namespace) -> None:
    trust_checkpoints(args.trust_checkpoint)
    cfg = load_config(args.config, options=args.cfg_options, semi=args.semi)
    folder = pack_model(
        cfg,
        args.checkpoint,
        args.out,
        args.name or Path(args.out).resolve().name,
        measured(args),
        args.fp_per_scan,
        args.measured_on or (Path(args.marks).name if args.marks else ''),
        args.summary,
        Path(args.card).read_text(encoding='utf-8') if args.card else None,
        args.scan_share,
        args.spacing,
        args.crop,
    )
    facts = folder.facts
    print(
        f'{args.out}: {facts.name}, voxels {voxels_of(facts.spacing)}, cut to {facts.crop}, '
        f'threshold {facts.threshold:.3f}'
    )
    for point in facts.operating_points:
        print(
            f'  {point.score:.3f} and above: {point.fp_per_scan:.3g} false positives a scan, '
            f'sensitivity {point.sensitivity:.3f}'
        )


def measured(args: Namespace) -> FROCResult | None:
    """FROC of the validation marks, if they are given."""
    if bool(args.marks) != bool(args.annotations):
        raise UsageError('--marks and --annotations belong together: give both or none')
    if not args.marks:
        print('no --marks: the threshold is 0.5 and there are no operating points')
        return None
    marks, truth = read_marks(args.marks), read_truth(args.annotations, args.excluded)
    lesions = truth.lesions
    scans = [*sorted(truth.named), *marks.scan_ids]
    scans = read_scan_ids(args.seriesuids) if args.seriesuids else [*dict.fromkeys(scans)]
    check_spelling(marks.scan_ids, scans, args.marks)
    check_spelling(truth.named, scans, args.annotations)
    scans = scans_to_score(scans, truth)
    if not {*lesions.scan_ids} & {*scans}:
        raise UsageError(f'{args.annotations}: none of its lesions is in one of the scans')
    return froc(scans, marks, lesions, truth.ignored)
