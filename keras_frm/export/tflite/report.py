"""What is said about an exported .tflite file, and what delegates make of it."""

from collections import Counter
from dataclasses import dataclass

from keras_frm.export.report import ExportReport, listed

_GPU = """
ABS ADD AVERAGE_POOL_2D BATCH_MATMUL CAST CEIL CONCATENATION CONV_2D COS
DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE DIV DYNAMIC_UPDATE_SLICE ELU
EMBEDDING_LOOKUP EQUAL EXP FLOOR FLOOR_DIV FLOOR_MOD FULLY_CONNECTED GATHER GELU
GREATER GREATER_EQUAL HARD_SWISH LEAKY_RELU LESS LESS_EQUAL LOG LOGICAL_AND
LOGICAL_NOT LOGICAL_OR LOGISTIC MAXIMUM MAX_POOL_2D MEAN MINIMUM MIRROR_PAD MUL NEG
NOT_EQUAL ONE_HOT PACK PAD PADV2 POW PRELU QUANTIZE REDUCE_MAX REDUCE_MIN
REDUCE_PROD RELU RELU6 RELU_0_TO_1 RELU_N1_TO_1 RESHAPE RESIZE_BILINEAR
RESIZE_NEAREST_NEIGHBOR REVERSE_V2 ROUND RSQRT SELECT SELECT_V2 SIGN SIN SLICE
SOFTMAX SPACE_TO_DEPTH SPLIT SPLIT_V SQRT SQUARE SQUARED_DIFFERENCE STRIDED_SLICE
SUB SUM TANH TILE TOPK_V2 TRANSPOSE TRANSPOSE_CONV UNPACK
"""

# LiteRT's GPU delegate (ML Drift), from the table of operations in its source,
# November 2026. Being in it is necessary, not sufficient: types and options have
# conditions of their own.
GPU_OPERATIONS = frozenset(_GPU.split())


@dataclass(frozen=True)
class TFLiteReport(ExportReport):
    """A .tflite file, checked.

    Args:
        partitions: Pieces of the graph that XNNPACK runs; 1 is best.
        outside_xnnpack: Name of an operation -> how many XNNPACK does not run.
    """

    partitions: int
    outside_xnnpack: Counter

    @property
    def outside_gpu(self) -> Counter:
        """Operations that LiteRT's GPU delegate has no kernel for."""
        counts = self.operations.items()
        return Counter({n: c for n, c in counts if n not in GPU_OPERATIONS})

    def details(self) -> list[str]:
        return [
            f"XNNPACK: {self.partitions} partition(s); not delegated: "
            f"{listed(self.outside_xnnpack)}",
            f"GPU delegate, by its published list, lacks: {listed(self.outside_gpu)}",
        ]
