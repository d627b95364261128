#!/usr/bin/env bash
# Train on several devices of one machine, or of several machines with NNODES, NODE_RANK and
# MASTER_ADDR set: tools/dist_train.sh CONFIG GPUS [arguments of tools/train.py]
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: $0 CONFIG GPUS [arguments of tools/train.py]" >&2
    exit 2
fi
processes=$2
TOOLS=$(cd "$(dirname "$0")" && pwd)

python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$processes" \
    "$TOOLS/train.py" "$1" --launcher pytorch "${@:3}"
