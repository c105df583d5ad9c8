#!/bin/sh
# The paper's recipe on Cityscapes (arXiv 2412.08670, section 3.1).
#
#     sh examples/recipes/cityscapes.sh CITYSCAPES VAN_SMALL_PTH RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; VAN_SMALL_PTH is the official ImageNet checkpoint
# of VAN-B1. 2975 images, 300 epochs of 185 steps, crops of 1024x1024, batch 16 over all devices.
# Run again with the same arguments to go on after a stop. On several machines, run it on each
# with TF_CONFIG set and RUN on a file system they share.
#
# Hardware: eight GPUs of 24 GB, two crops each, is the estimate; not measured. With fewer,
# add --batch-size and --accumulate with a product of 16.
# Result: 80.4 % mIoU on the test set in the paper, several scales and mirrored; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes --data "$data" --split val \
  --scales 0.5,0.75,1,1.25,1.5 --flip
