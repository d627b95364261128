"""Draw what the training pipeline of a config feeds the network.

A row of slices (axial, coronal, sagittal) through each lesion: lesions are green, ignored ones
orange. Patches without a lesion show their middle.

Example:
    python tools/analysis_tools/browse_dataset.py configs/retina3d/retina3d_fpn_phantom.py \
        --output-dir browse --number 8
"""

import argparse
from pathlib import Path

from mmengine.registry import init_default_scope
from rich.progress import track

from mmdet3d_medical.apis import DictAction, at_least, load_config, run_tool
from mmdet3d_medical.datasets import Draw, branch_in_use
from mmdet3d_medical.registry import DATASETS
from mmdet3d_medical.utils.files import check_writable, replacing
from mmdet3d_medical.visualization.slices import BoxLayer, lesion_points, slice_figure


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument('--output-dir', default='browse', metavar='D', help='default: browse')
    parser.add_argument(
        '--number', type=at_least(1), default=8, metavar='N', help='patches (default: 8)'
    )
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        metavar='KEY=VALUE',
        help='overrides settings of the config',
    )
    return parser.parse_args()


def draw_item(item: dict, path: Path) -> None:
    """Save the picture of one item of the pipeline."""
    sample, volume = item['data_samples'], item['inputs'][0].numpy()
    lesions = sample.gt_instances.bboxes.numpy()
    ignored = sample.ignored_instances.bboxes.numpy()
    figure = slice_figure(
        volume,
        lesion_points(lesions, volume.shape),
        [BoxLayer(ignored, 'orange'), BoxLayer(lesions, 'lime')],
        spacing=sample.geometry.spacing_zyx,
        title=f'{sample.scan_id}, patch {volume.shape}',
    )
    with replacing(path) as file:
        figure.savefig(file, dpi=110)


def main() -> None:
    args = parse_args()
    folder = Path(args.output_dir)
    check_writable(folder / '0000.png')
    config = load_config(args.config, options=args.cfg_options)
    init_default_scope(config.get('default_scope', 'mmdet3d_medical'))
    dataset = DATASETS.build(config.train_dataloader.dataset)
    for number in track(range(args.number), 'Drawing'):
        item = branch_in_use(dataset[Draw(number % len(dataset), number)])
        draw_item(item, folder / f'{number:04d}_{item["data_samples"].scan_id}.png')
    print(f'{args.number} pictures in {folder}')


if __name__ == '__main__':
    run_tool(main)
