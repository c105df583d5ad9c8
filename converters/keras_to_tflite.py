"""Export a trained model as a .tflite file: `keras-frm export` from a checkout.

python converters/keras_to_tflite.py run/best.keras frm.tflite --size 256 512
python converters/keras_to_tflite.py run/best.keras frm_int8.tflite --size 256 512 \
    --precision int8 --images folder_of_street_images
"""

import sys

from keras_frm.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "export")
    main()
