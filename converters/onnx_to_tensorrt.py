"""Build a TensorRT engine of an .onnx file: `keras-frm engine` from a checkout.

python converters/onnx_to_tensorrt.py frm_float16.onnx
"""

import sys

from keras_frm.cli import main

if __name__ == "__main__":
    sys.argv.insert(1, "engine")
    main()
