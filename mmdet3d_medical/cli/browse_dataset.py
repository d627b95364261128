"""What ``mmdet3d-medical browse-dataset`` does."""

from argparse import Namespace
from pathlib import Path

from mmengine.registry import init_default_scope
from rich.progress import track

from mmdet3d_medical.apis import load_config
from mmdet3d_medical.datasets import Draw, branch_in_use
from mmdet3d_medical.registry import DATASETS
from mmdet3d_medical.utils.files import check_writable, replacing
from mmdet3d_medical.visualization.samples import sample_figure


def draw_item(item: dict, path: Path) -> None:
    """Save the picture of one item of the pipeline."""
    figure = sample_figure(item['inputs'], item['data_samples'], draw_pred=False)
    with replacing(path) as file:
        figure.savefig(file, dpi=110)


def main(args: Namespace) -> None:
    folder = Path(args.output_dir)
    check_writable(folder / '0000.png')
    config = load_config(args.config, options=args.cfg_options, semi=args.semi)
    init_default_scope(config.get('default_scope', 'mmdet3d_medical'))
    dataset = DATASETS.build(config.train_dataloader.dataset)
    for number in track(range(args.number), 'Drawing'):
        item = branch_in_use(dataset[Draw(number % len(dataset), number)])
        draw_item(item, folder / f'{number:04d}_{item["data_samples"].scan_id}.png')
    print(f'{args.number} pictures in {folder}')
