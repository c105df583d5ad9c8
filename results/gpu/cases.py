"""What is measured on a GPU, the most telling first."""

from dataclasses import dataclass, replace

# Multiply-adds of VAN-small + FRM at 2048x1024, `results/profile.csv`; the two products
# of its attention come on top.
_CONVOLUTIONS, _PIXELS = 213.26e9, 2048 * 1024
_ATTENTION_CHANNELS, _STRIDE = 1024 + 1024 // 4, 32
BACKBONE, TINY = "van_small", "tiny"


@dataclass(frozen=True)
class Case:
    """One measurement.

    Args:
        side: "jax" (the package), "torch" (the twin), or "torch_compile".
        what: "matmul" (a product of square matrices), "step" (of a training) or
            "inference".
        height: Rows of an image, or of a matrix.
        width: Columns.
        batch: Images at once.
        dtype: "float32" or "bfloat16".
        contrastive: With the contrastive loss, which the twin lacks.
        rematerialize: Compute blocks again in the backward pass.
        backbone: "van_small", or "tiny" for a network that a processor trains; the twin
            has the first one.
    """

    side: str
    what: str
    height: int
    width: int
    batch: int = 1
    dtype: str = "bfloat16"
    contrastive: bool = False
    rematerialize: bool = False
    backbone: str = BACKBONE

    def operations(self) -> float:
        """Return the operations that it needs, recomputed ones not counted.

        A multiply-add is two; the backward pass has twice those of the forward pass.
        NaN for what was not counted.
        """
        if self.what == "matmul":
            return 2 * self.height**2 * self.width
        if self.backbone != BACKBONE:
            return float("nan")
        pixels = self.height * self.width
        tokens = pixels / _STRIDE**2
        forward = _CONVOLUTIONS * pixels / _PIXELS + tokens**2 * _ATTENTION_CHANNELS
        return 2 * self.batch * forward * (3 if self.what == "step" else 1)

    def is_like(self, other: "Case") -> bool:
        """Return whether another one differs in nothing but the batch."""
        return replace(self, batch=other.batch) == other


def all_cases() -> list[Case]:
    """Return the measurements of an H100, in the order they are taken."""

    def step(side, size, batch, dtype="bfloat16", **options):
        return Case(side, "step", *size, batch, dtype, **options)

    small, middle, large = (360, 480), (512, 512), (1024, 1024)
    return [
        Case("jax", "matmul", 8192, 8192),
        Case("jax", "matmul", 8192, 8192, dtype="float32"),
        step("jax", middle, 16),
        step("jax", small, 32),
        Case("jax", "inference", *small, 32),
        step("torch", middle, 16),
        step("torch", small, 32),
        step("torch", large, 8),
        Case("torch", "inference", *small, 32),
        step("torch", middle, 16, "float32"),
        step("jax", large, 8),
        step("jax", middle, 16, "float32"),
        step("jax", middle, 16, contrastive=True),
        step("jax", middle, 16, rematerialize=True),
        step("torch_compile", middle, 16),
        # Up to memory.
        step("jax", middle, 64),
        step("jax", large, 32),
        step("torch", middle, 64),
        step("torch", large, 32),
        step("jax", middle, 256),
        step("jax", middle, 256, rematerialize=True),
        step("jax", large, 64, rematerialize=True),
        step("torch", middle, 256),
        step("jax", large, 8, "float32"),
        step("jax", large, 8, contrastive=True),
        Case("jax", "inference", *large, 16),
        step("torch", large, 8, "float32"),
        Case("torch", "inference", *large, 16),
        step("torch_compile", large, 8),
        step("jax", middle, 512, rematerialize=True),
    ]


def smallest_cases() -> list[Case]:
    """Return measurements that a processor takes in a minute."""
    tiny = {"backbone": TINY}
    return [
        Case("jax", "matmul", 64, 64),
        Case("jax", "step", 64, 64, 1, "float32", **tiny),
        Case("jax", "inference", 64, 64, 1, "float32", **tiny),
        Case("torch", "step", 64, 64, 1, "float32"),
    ]
