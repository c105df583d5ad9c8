import gc
import os
from pathlib import Path

import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

# Tracing makes millions of objects that live; looking through them takes a tenth of
# the time of the tests.
gc.set_threshold(100_000, 20, 100)

SHARED = Path(os.environ.get("KERAS_FRM_SHARED", Path(__file__).parents[2] / "shared"))


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Trials of model files are remembered for one run of the tests."""
    os.environ["KERAS_FRM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture
def no_weights(tmp_path_factory, monkeypatch):
    """The package without any weights that come with it."""
    from keras_frm.weights import shipped

    folder = tmp_path_factory.mktemp("no_weights")
    (folder / shipped.TABLE).write_text("{}")
    monkeypatch.setattr(shipped, "FOLDER", folder)
    shipped.shipped_weights.cache_clear()
    yield
    shipped.shipped_weights.cache_clear()


@pytest.fixture(scope="session")
def parity_dir() -> Path:
    """Arrays made by the reference implementations; see the README beside them."""
    return Path(__file__).parent / "parity"


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real street images; skips where they are absent."""
    folder = SHARED / "data"
    if not folder.is_dir():
        pytest.skip(f"real images are not at {folder}")
    return folder
