"""A network that a processor trains in seconds, to try the scripts with."""

from keras_frm.layers import VAN
from results.gpu.cases import TINY


def network_options(backbone: str) -> dict:
    """Return options of `build_model`: those of a name, or of the tiny network."""
    if backbone != TINY:
        return {"backbone": backbone, "drop_path_rate": 0.0}
    van = VAN((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1), name="backbone")
    return {"backbone": van, "decoder_width": 8}
