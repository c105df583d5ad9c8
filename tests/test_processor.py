"""What is asked of a processor, and what follows from it."""

import pytest

from keras_frm import processor


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("sse2", "avx2"), False),
        (("sse2", "avx2", "avx512_vnni"), True),
        (("sse2", "avx2", "avx_vnni"), True),
        (("asimddp",), True),
        ((), True),
    ],
    ids=str,
)
def test_processors_whose_products_of_bytes_do_not_overflow(
    flags, expected, monkeypatch
):
    monkeypatch.setattr(processor, "processor_flags", lambda: frozenset(flags))
    assert processor.multiplies_bytes() == expected
