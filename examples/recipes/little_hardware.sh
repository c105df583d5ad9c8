#!/bin/sh
# frm_lite0 on a laptop's processor: ImageNet, Cityscapes at 256x256, CamVid, int8.
#
#     sh examples/recipes/little_hardware.sh CITYSCAPES256 CAMVID RUNS
#
# CITYSCAPES256 is Cityscapes in its own folders, at any size: images are stretched to 512x256
# first. CAMVID is the SegNet split. Needs pip install 'keras_frm[train,imagenet]'. Run again
# with the same arguments to go on after a stop.
#
# Hardware: two cores of an AMD EPYC without AVX-512 take 2 to 2.5 hours for each of the first
# two trainings, and less than one for the last. Results: results/trainings/README.md.
set -eu
city=$1 camvid=$2 runs=$3
keras-frm train --preset cityscapes_small --data "$city" --resize 256 512 --weights imagenet \
  --cache "$runs/cache" --out "$runs/cityscapes256"
keras-frm evaluate "$runs/cityscapes256" --data "$city" --resize 256 512 \
  --out "$runs/cityscapes256/iou"

keras-frm train --preset camvid_small --data "$camvid" --weights "$runs/cityscapes256" \
  --cache "$runs/cache" --out "$runs/camvid"
keras-frm evaluate "$runs/camvid" --data "$camvid" --split test --out "$runs/camvid/iou"

keras-frm quantize "$runs/camvid" --size 360 480 --data "$camvid" --out "$runs/camvid_int8"
keras-frm card "$runs/camvid_int8" --data "$camvid" --split test \
  --extra-data "ImageNet, Cityscapes at 256x256"
