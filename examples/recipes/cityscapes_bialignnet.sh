#!/bin/sh
# BiAlignNet's recipe on Cityscapes (jojacola/BiAlignNet): OHEM, edges, two auxiliary heads.
#
#     sh examples/recipes/cityscapes_bialignnet.sh CITYSCAPES WEIGHTS RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; WEIGHTS is an official checkpoint (.pth, .pt), one of
# DFNet2 on ImageNet, or a run folder of bialignnet_df2. 2975 images, 500 epochs of 185 steps, crops
# of 1024x1024, batch 16 over all devices.
#
# Hardware: eight GPUs of 16 GB is the estimate; not measured.
# Result: 78.7 % mIoU on val by its README, with ImageNet before; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes_bialignnet --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes_bialignnet --data "$data" --split val
