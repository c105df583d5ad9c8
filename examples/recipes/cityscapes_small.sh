#!/bin/sh
# frm_lite0 on Cityscapes at 512x256, from ImageNet, on a laptop's processor.
#
#     sh examples/recipes/cityscapes_small.sh CITYSCAPES RUN [OPTION...]
#
# CITYSCAPES holds leftImg8bit/ and gtFine/, at any size: images are resized to 512x256 first.
# 2975 images, 10 epochs of 371 steps, crops of 384x192, batch 8. Needs
# pip install 'keras_frm[train,imagenet]'. Run again with the same arguments to go on after a
# stop; --cache FOLDER keeps decoded images, 1.6 GB.
#
# Hardware: two cores of an AMD EPYC without AVX-512, 1.9 hours.
# Result: 44.5 % mIoU on val (Cityscapes at 256x256), after 6 epochs at 256x128 before; six epochs
# more, from the run of the first ten, made 45.6 %.
set -eu
data=$1 run=$2
shift 2
keras-frm train --preset cityscapes_small --data "$data" --resize 256 512 --weights imagenet \
  --out "$run" "$@"
keras-frm evaluate "$run" --preset cityscapes_small --data "$data" --resize 256 512
