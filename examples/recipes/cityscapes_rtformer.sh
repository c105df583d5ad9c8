#!/bin/sh
# RTFormer's recipe on Cityscapes (PaddlePaddle/PaddleSeg).
#
#     sh examples/recipes/cityscapes_rtformer.sh CITYSCAPES WEIGHTS RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/; WEIGHTS is an official checkpoint (.pdparams) or a
# run folder of rtformer_slim. 2975 images, 485 epochs of 247 steps, crops of 512x1024, batch 12 over
# all devices. Add --network rtformer_base for the larger one.
#
# Hardware: four GPUs of 24 GB is the estimate; not measured.
# Result: 76.31 % mIoU on val for RTFormer-Slim by its README, with ImageNet before; not measured here.
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset cityscapes_rtformer --data "$data" --weights "$weights" --out "$run" \
  --devices all --precision mixed_float16 "$@"
keras-frm evaluate "$run" --preset cityscapes_rtformer --data "$data" --split val
