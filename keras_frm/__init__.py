"""Light-weight semantic segmentation for edge devices, in Keras 3.

`import keras_frm` is instant: a name is loaded when it is first touched, so that a
device can use the runtime without Keras or TensorFlow.
"""

import contextlib
import importlib
import sys

__version__ = "0.1.0"

# Public name -> the module that defines it.
_PUBLIC = {
    "build_model": "keras_frm.models.build",
    "SegmentationModel": "keras_frm.models.segmentation_model",
    "load_model": "keras_frm.models.saving",
    "NetworkParts": "keras_frm.networks.contract",
    "register_network": "keras_frm.networks.registry",
    "backbone_from": "keras_frm.networks.backbone",
    "load_van_weights": "keras_frm.networks.checkpoints.van",
    "profile": "keras_frm.models.cost",
    "layers": "keras_frm.layers",
    "losses": "keras_frm.losses",
    "metrics": "keras_frm.metrics",
    "presets": "keras_frm.presets",
    "Preset": "keras_frm.presets",
    "Recipe": "keras_frm.presets",
    "register_preset": "keras_frm.presets",
    "recipe": "keras_frm.recipes",
    "load_dataset": "keras_frm.data.pipeline",
    "check_data": "keras_frm.data.check",
    "evaluate": "keras_frm.evaluation.evaluate",
    "LabelSet": "keras_frm.labels",
    "export_tflite": "keras_frm.export.tflite.export",
    "quantize_aware": "keras_frm.quantization.aware",
    "recalibrate": "keras_frm.quantization.recalibrate",
    "inference_graph": "keras_frm.export.inference_graph",
    "Segmenter": "keras_frm.runtime.segmenter",
}

# Modules whose classes a saved model may name: importing them registers these.
_SERIALIZABLE = (
    "keras_frm.layers",
    "keras_frm.layers.blocks.padding",
    "keras_frm.losses",
    "keras_frm.metrics",
    "keras_frm.optimizers.adamw",
    "keras_frm.optimizers.coupled_sgd",
    "keras_frm.optimizers.poly_decay",
    "keras_frm.graph.passes.integer_layer_norm",
    "keras_frm.quantization.layers",
    "keras_frm.models.quantized_model",
    "keras_frm.export.head",
)

# What each extra brings, for the one line said when it is missing.
_TRAIN_MODULES = {
    "keras",
    "tensorflow",
    "tensorflow_model_optimization",
    "tensorboard",
    "matplotlib",
    "PIL",
    "rich",
    "typer",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def missing_module_message(error: ImportError) -> str | None:
    """Return the remedy for a failed import of a dependency, None for other causes."""
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module in _TRAIN_MODULES:
            return (
                f"keras_frm needs '{module}' for this and it is not installed. "
                "Run: pip install 'keras_frm[train]'"
            )
        if module == "cv2":
            return "OpenCV is not installed. Run: pip install opencv-python-headless"
        return None
    if "libGL" in str(error) or "libgthread" in str(error):
        return (
            f"OpenCV cannot load a system library ({error}). "
            "Run: pip uninstall -y opencv-python && pip install opencv-python-headless"
        )
    return None


def register_classes() -> None:
    """Make the classes of saved models known to Keras, so that it can load them."""
    for module in _SERIALIZABLE:
        importlib.import_module(module)


def __getattr__(name: str):
    """Load a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keras_frm' has no attribute '{name}'")
    target = _PUBLIC[name]
    try:
        module = importlib.import_module(target)
    except ImportError as error:
        message = missing_module_message(error)
        if message is None:
            raise
        raise ImportError(message) from error
    value = module if target == f"keras_frm.{name}" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *_PUBLIC})


# Who has imported Keras can load models with it; who has not pays nothing here.
if "keras" in sys.modules:
    with contextlib.suppress(ImportError):  # a device may have Keras and no TensorFlow
        register_classes()
