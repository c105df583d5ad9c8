"""Parameters and multiply-adds of the paper's rows.

python results/profile.py > results/profile.csv
"""

import csv
import sys

import keras_frm

ROWS = [
    ("flow", "frm", (1024, 2048), 16.48, 214.82),
    ("flow", "ppm", (1024, 2048), 15.23, 213.21),
    ("flow", "dappm", (1024, 2048), 15.98, 214.81),
    ("flow", "frm", (720, 1280), 16.48, 94.55),
    ("bilinear", "frm", (1024, 2048), "", ""),
    ("bilinear", None, (1024, 2048), "", ""),
]

COLUMNS = [
    "alignment",
    "context",
    "height",
    "width",
    "m_parameters",
    "paper_m_parameters",
    "g_multiply_adds",
    "paper_gflops",
    "g_attention_multiply_adds",
]

table = csv.writer(sys.stdout)
table.writerow(COLUMNS)
for alignment, context, size, parameters, gflops in ROWS:
    model = keras_frm.build_model("cityscapes", alignment=alignment, context=context)
    total = keras_frm.profile(model, size)[-1]
    table.writerow(
        [
            alignment,
            context,
            *size,
            round(total.parameters / 1e6, 3),
            parameters,
            round(total.multiply_adds / 1e9, 2),
            gflops,
            round(total.attention_multiply_adds / 1e9, 2),
        ]
    )
