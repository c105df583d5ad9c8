#!/bin/sh
# frm_lite0 on CamVid at 480x360, on a laptop's processor.
#
#     sh examples/recipes/camvid_small.sh CAMVID WEIGHTS RUN [OPTION...]
#
# CAMVID is the SegNet split; WEIGHTS is cityscapes256, the run folder of cityscapes_small.sh, or
# imagenet. 367 images, 64 epochs of 45 steps, crops of 320x240, batch 8. Run again with the same
# arguments to go on after a stop.
#
# Hardware: two cores of an AMD EPYC without AVX-512, 1.8 hours.
# Result: from cityscapes256 59.7 % mIoU on test, 68.5 % on val. Eight epochs of whole images after
# it made 61.0 %, and keras-frm quantize 61.3 % (results/trainings/README.md has the commands).
set -eu
data=$1 weights=$2 run=$3
shift 3
keras-frm train --preset camvid_small --data "$data" --weights "$weights" --out "$run" "$@"
keras-frm evaluate "$run" --preset camvid_small --data "$data" --split test
