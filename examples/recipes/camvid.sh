#!/bin/sh
# A small network from random weights on CamVid at half resolution.
#
#     sh examples/recipes/camvid.sh CAMVID RUN [OPTION...]
#
# CAMVID is the SegNet split: train/, trainannot/ and so on. 367 images, 30 epochs of 91 steps,
# crops of 128x160, batch 4. Run again with the same arguments to go on after a stop.
#
# Hardware: two CPU cores and 2 GB, under an hour.
# Result: 35.7 % mIoU on the test split (results/camvid), far from convergence.
set -eu
data=$1 run=$2
shift 2
keras-frm train --preset camvid --data "$data" --out "$run" --backbone van_tiny \
  --decoder-width 64 --resize 180 240 --crop 128 160 --batch-size 4 --epochs 30 "$@"
keras-frm evaluate "$run" --preset camvid --data "$data" --split test --resize 180 240
