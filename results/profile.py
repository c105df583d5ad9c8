"""Parameters and multiply-adds of the paper's rows.

python results/profile.py > results/profile.csv
"""

import argparse

from table import write_table

import keras_frm

ROWS = [
    ("frm_table1", "frm", (1024, 2048), 16.48, 214.82),
    ("frm_table1", "ppm", (1024, 2048), 15.23, 213.21),
    ("frm_table1", "dappm", (1024, 2048), 15.98, 214.81),
    ("frm_table1", "frm", (720, 1280), 16.48, 94.55),
    ("frm", "frm", (1024, 2048), "", ""),
    ("frm", None, (1024, 2048), "", ""),
    ("frm_lite0", "frm", (1024, 2048), "", ""),
    ("frm_lite0", "frm", (256, 512), "", ""),
]


def measure():
    """Yield the row of each network."""
    for network, context, size, parameters, gflops in ROWS:
        model = keras_frm.build_model("cityscapes", network=network, context=context)
        total = keras_frm.profile(model, size)[-1]
        yield {
            "network": network,
            "context": context,
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
