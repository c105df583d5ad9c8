"""Light-weight semantic segmentation for edge devices, in Keras 3.

`import keras_frm` is instant: a name is loaded when it is first touched, so that a
device can use the runtime without Keras or TensorFlow.
"""

import contextlib
import importlib
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `_PUBLIC` loads; `as` makes a name public
    from keras_frm import layers as layers
    from keras_frm import losses as losses
    from keras_frm import metrics as metrics
    from keras_frm import presets as presets
    from keras_frm.data.annotations.masks import (
        masks_from_annotations as masks_from_annotations,
    )
    from keras_frm.data.arrays.dataset import dataset_from_arrays as dataset_from_arrays
    from keras_frm.data.check import check_data as check_data
    from keras_frm.data.folder import folder_preset as folder_preset
    from keras_frm.data.merging import merge_classes as merge_classes
    from keras_frm.data.pipeline import load_dataset as load_dataset
    from keras_frm.evaluation.evaluate import evaluate as evaluate
    from keras_frm.export.inference_graph import inference_graph as inference_graph
    from keras_frm.export.onnx.export import export_onnx as export_onnx
    from keras_frm.export.tflite.export import export_tflite as export_tflite
    from keras_frm.labels import LabelSet as LabelSet
    from keras_frm.models.build import build_model as build_model
    from keras_frm.models.cost import profile as profile
    from keras_frm.models.saving import load_model as load_model
    from keras_frm.models.segmentation_model import (
        SegmentationModel as SegmentationModel,
    )
    from keras_frm.networks.backbone import backbone_from as backbone_from
    from keras_frm.networks.checkpoints.van import load_van_weights as load_van_weights
    from keras_frm.networks.contract import NetworkParts as NetworkParts
    from keras_frm.networks.registry import register_network as register_network
    from keras_frm.presets import Preset as Preset
    from keras_frm.presets import Recipe as Recipe
    from keras_frm.presets import register_preset as register_preset
    from keras_frm.quantization.aware import quantize_aware as quantize_aware
    from keras_frm.quantization.recalibrate import recalibrate as recalibrate
    from keras_frm.recipes import recipe as recipe
    from keras_frm.runtime.segmenter import Segmenter as Segmenter
    from keras_frm.runtime.tensorrt.build import build_engine as build_engine

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
    "dataset_from_arrays": "keras_frm.data.arrays.dataset",
    "folder_preset": "keras_frm.data.folder",
    "merge_classes": "keras_frm.data.merging",
    "check_data": "keras_frm.data.check",
    "masks_from_annotations": "keras_frm.data.annotations.masks",
    "evaluate": "keras_frm.evaluation.evaluate",
    "LabelSet": "keras_frm.labels",
    "export_onnx": "keras_frm.export.onnx.export",
    "export_tflite": "keras_frm.export.tflite.export",
    "quantize_aware": "keras_frm.quantization.aware",
    "recalibrate": "keras_frm.quantization.recalibrate",
    "inference_graph": "keras_frm.export.inference_graph",
    "Segmenter": "keras_frm.runtime.segmenter",
    "build_engine": "keras_frm.runtime.tensorrt.build",
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
)
_SERIALIZABLE_OF_BACKEND = {
    "tensorflow": (
        "keras_frm.graph.passes.integer_layer_norm",
        "keras_frm.quantization.layers",
        "keras_frm.models.quantized_model",
        "keras_frm.export.head",
    ),
    "jax": ("keras_frm.models.segmentation_model",),
}

# What the extra "train" brings, for the one line said when it is missing.
_TRAIN_MODULES = {
    "keras",
    "tensorflow",
    "tensorflow_model_optimization",
    "tensorboard",
    "matplotlib",
    "PIL",
}

# What the extra "onnx" brings.
_ONNX_MODULES = {"onnx", "onnxruntime"}

# What Keras imports where it is set to a backend that the package does not train on.
_OTHER_BACKENDS = {"torch", "openvino"}

# Of the base install, for who installed without dependencies: module -> package.
_BASE_MODULES = {"cv2": "opencv-python-headless", "typer": "typer", "rich": "rich"}

__all__ = ["__version__", *sorted(_PUBLIC)]


def missing_module_message(error: ImportError, what: str = "keras_frm") -> str | None:
    """Return the remedy for a failed import of a dependency, None for other causes.

    Args:
        error: The error.
        what: What needs the dependency, the subject of the message.
    """
    if isinstance(error, ModuleNotFoundError):
        module = (error.name or "").partition(".")[0]
        if module in _TRAIN_MODULES and sys.version_info < (3, 11):
            return (
                f"{what} needs '{module}', which needs Python 3.11; this "
                f"is {sys.version_info[0]}.{sys.version_info[1]}, on which the "
                "package runs exported models only."
            )
        if module in _TRAIN_MODULES:
            return (
                f"{what} needs '{module}', which is not installed. "
                "Run: pip install 'keras_frm[train]'"
            )
        if module in _ONNX_MODULES:
            return (
                f"{what} needs '{module}', which is not installed. "
                "Run: pip install 'keras_frm[onnx]'"
            )
        if module == "jax":
            return (
                "Keras is set to another backend than TensorFlow ('jax' is not "
                "installed). Run: pip install 'keras_frm[jax]', or set "
                "KERAS_BACKEND=tensorflow before Keras is imported."
            )
        if module in _OTHER_BACKENDS:
            return (
                f"Keras is set to another backend than TensorFlow ('{module}' is not "
                "installed), and keras_frm needs TensorFlow for this. Set "
                "KERAS_BACKEND=tensorflow before Keras is imported."
            )
        if module in _BASE_MODULES:
            return (
                f"'{module}' is not installed. Run: pip install {_BASE_MODULES[module]}"
            )
        return None
    if "libGL" in str(error) or "libgthread" in str(error):
        return (
            f"OpenCV cannot load a system library ({error}). "
            "Run: pip uninstall -y opencv-python && pip install opencv-python-headless"
        )
    return None


def register_classes() -> None:
    """Make the classes of saved models known to Keras, so that it can load them."""
    import keras

    of_backend = _SERIALIZABLE_OF_BACKEND.get(keras.backend.backend(), ())
    for module in (*_SERIALIZABLE, *of_backend):
        importlib.import_module(module)


def __getattr__(name: str):
    """Load a public name on first use (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'keras_frm' has no attribute '{name}'")
    target = _PUBLIC[name]
    try:
        module = importlib.import_module(target)
    except ImportError as error:
        message = missing_module_message(error, f"keras_frm.{name}")
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
