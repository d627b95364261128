"""Write ``index.schema.json``, the schema of the index for other programs.

Example:
    python docs/make_index_schema.py
"""

import json
from pathlib import Path

from mmdet3d_medical.datasets.index_schema import json_schema

PAGE = Path(__file__).with_name('index.schema.json')


def schema_text() -> str:
    return json.dumps(json_schema(), indent=2) + '\n'


if __name__ == '__main__':
    PAGE.write_text(schema_text(), encoding='utf-8')
