#!/bin/sh
# SFNet's recipe on Cityscapes (lxtGH/SFSegNets): OHEM, three auxiliary heads.
#
#     sh examples/recipes/cityscapes_sfnet.sh CITYSCAPES WEIGHTS RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; WEIGHTS is an official checkpoint (.pth, .pt) or a
# run folder of sfnet_r18. 2975 images, 300 epochs of 185 steps, crops of 1024x1024, batch 16 over
# all devices.
#
# Hardware: four GPUs of 24 GB is the estimate; not measured.
# Result: 79.0 % mIoU for SFNet-R18 by its README, with ImageNet before; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes_sfnet --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes_sfnet --data "$data" --split val
