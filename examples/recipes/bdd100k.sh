#!/bin/sh
# The paper's recipe on BDD100K (arXiv 2412.08670, section 3.1).
#
#     sh examples/recipes/bdd100k.sh BDD100K VAN_SMALL_PTH RUN [OPTION...]
#
# BDD100K is either published layout of the segmentation set; VAN_SMALL_PTH is the official
# ImageNet checkpoint of VAN-B1. 7000 images, 300 epochs of 218 steps, crops of 720x720, batch 32
# over all devices. Run again with the same arguments to go on after a stop.
#
# Hardware: eight GPUs of 24 GB, four crops each, is the estimate; not measured. With fewer,
# add --batch-size and --accumulate with a product of 32.
# Result: not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset bdd100k --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset bdd100k --data "$data" --split val
