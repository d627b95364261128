#!/usr/bin/env bash
# Test on several devices of one machine, or of several machines with NNODES, NODE_RANK and
# MASTER_ADDR set: tools/dist_test.sh CONFIG CHECKPOINT GPUS [arguments of tools/test.py]
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [arguments of tools/test.py]" >&2
    exit 2
fi
processes=$3
TOOLS=$(cd "$(dirname "$0")" && pwd)

python -m torch.distributed.run \
    --nnodes="${NNODES:-1}" \
    --node-rank="${NODE_RANK:-0}" \
    --master-addr="${MASTER_ADDR:-127.0.0.1}" \
    --master-port="${PORT:-29500}" \
    --nproc-per-node="$processes" \
    "$TOOLS/test.py" "$1" "$2" --launcher pytorch "${@:4}"
