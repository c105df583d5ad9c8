#!/bin/sh
# DDRNet's recipe on Cityscapes (arXiv 2101.06085; HRNet's code): OHEM, class weights.
#
#     sh examples/recipes/cityscapes_ddrnet.sh CITYSCAPES WEIGHTS RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; WEIGHTS is an official checkpoint (.pth, .pt) or a
# run folder of ddrnet_23_slim. 2975 images, 484 epochs of 247 steps, crops of 1024x1024, batch 12 over
# all devices. Add --network ddrnet_23 or ddrnet_39 for the larger ones.
#
# Hardware: four GPUs of 24 GB is the estimate; not measured.
# Result: 77.8 % mIoU on val for DDRNet-23-slim by its README, with ImageNet before; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes_ddrnet --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes_ddrnet --data "$data" --split val
