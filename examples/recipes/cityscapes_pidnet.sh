#!/bin/sh
# PIDNet's recipe on Cityscapes (XuJiacong/PIDNet): OHEM, boundaries, class weights.
#
#     sh examples/recipes/cityscapes_pidnet.sh CITYSCAPES WEIGHTS RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; WEIGHTS is an official checkpoint (.pth, .pt) or a
# run folder of pidnet_s. 2975 images, 484 epochs of 247 steps, crops of 1024x1024, batch 12 over
# all devices. Add --network pidnet_m or pidnet_l for the larger ones.
#
# Hardware: four GPUs of 24 GB is the estimate; not measured.
# Result: 78.8 % mIoU on val for PIDNet-S by its README, with ImageNet before; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes_pidnet --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes_pidnet --data "$data" --split val
