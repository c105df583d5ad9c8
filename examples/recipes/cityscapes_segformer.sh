#!/bin/sh
# SegFormer's recipe on Cityscapes (NVlabs/SegFormer).
#
#     sh examples/recipes/cityscapes_segformer.sh CITYSCAPES WEIGHTS RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; WEIGHTS is an official checkpoint (.pth, .pt) or a
# run folder of segformer_b0. 2975 images, 430 epochs of 371 steps, crops of 1024x1024, batch 8 over
# all devices. Add --network segformer_b1 for the larger one.
#
# Hardware: four GPUs of 24 GB is the estimate; not measured.
# Result: 76.2 % mIoU on val for SegFormer-B0 in the paper, with ImageNet before; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes_segformer --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes_segformer --data "$data" --split val
