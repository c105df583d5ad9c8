"""The command line: `keras-frm`."""

import os
import sys

# Of a damaged video or a camera that is not there the commands say one line; OpenCV
# says more of each frame, and reads this when it is loaded.
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")


def main() -> None:
    """Run the command line; an error is one line and a non-zero exit."""
    from keras_frm import missing_module_message

    try:
        from keras_frm.cli.app import INTERRUPTED, run
    except ImportError as error:
        message = missing_module_message(error)
        if message is None:
            raise
        print(f"keras-frm: {message}", file=sys.stderr)
        sys.exit(1)
    try:
        code = run()
        stopped = code == INTERRUPTED
    except SystemExit as stop:  # of a training, which a signal ended
        code, stopped = stop.code, True
    if stopped:
        # Threads that read data for TensorFlow wait for Python, and Python's regular
        # end may wait for them for ever.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)
