"""Parameters and multiply-adds of the networks, beside the rows of the paper's tables.

python results/profile.py > results/profile.csv
"""

import argparse

from table import write_table

import keras_frm

LARGE = (1024, 2048)
# Network, its options, size of the image, and the paper's figures.
ROWS = [
    ("frm_table1", {"context": "frm"}, LARGE, 16.48, 214.82),
    ("frm_table1", {"context": "ppm"}, LARGE, 15.23, 213.21),
    ("frm_table1", {"context": "dappm"}, LARGE, 15.98, 214.81),
    ("frm_table1", {"context": "frm"}, (720, 1280), 16.48, 94.55),
    ("frm", {"context": "frm"}, LARGE, "", ""),
    ("frm", {"context": None}, LARGE, "", ""),
    ("frm_lite0", {"context": "frm"}, LARGE, "", ""),
    ("frm_lite0", {"context": "frm"}, (256, 512), "", ""),
    ("ddrnet_23_slim", {}, LARGE, "", ""),
    ("ddrnet_23", {}, LARGE, 20.1, 143.1),
    ("ddrnet_39", {}, LARGE, 32.3, 281.2),
    ("pidnet_s", {}, LARGE, "", ""),
    ("pidnet_m", {}, LARGE, 28.5, 178.1),
    ("pidnet_l", {}, LARGE, "", ""),
    ("sfnet_r18", {}, LARGE, 12.87, 243.87),
    ("segformer_b0", {}, LARGE, "", ""),
    ("segformer_b1", {}, LARGE, 13.7, 243.7),
    ("rtformer_slim", {}, LARGE, "", ""),
    ("rtformer_base", {}, LARGE, 16.8, ""),
    ("bialignnet_df2", {}, LARGE, 19.2, 108.73),
]


def measure():
    """Yield the row of each network."""
    for network, options, size, parameters, gflops in ROWS:
        model = keras_frm.build_model("cityscapes", network=network, **options)
        total = keras_frm.profile(model, size)[-1]
        yield {
            "network": network,
            "context": options.get("context"),
            "height": size[0],
            "width": size[1],
            "m_parameters": round(total.parameters / 1e6, 3),
            "paper_m_parameters": parameters,
            "g_multiply_adds": round(total.multiply_adds / 1e9, 2),
            "paper_gflops": gflops,
            "g_attention_multiply_adds": round(total.attention_multiply_adds / 1e9, 2),
        }


if __name__ == "__main__":
    argparse.ArgumentParser(description=__doc__.splitlines()[0]).parse_args()
    write_table(measure())
