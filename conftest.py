"""Examples in the docstrings of one backend's files run under that backend."""

import os

if os.environ.get("KERAS_BACKEND") == "jax":
    collect_ignore = ["keras_frm/backend/tensorflow"]
else:
    collect_ignore = ["keras_frm/backend/jax"]
