"""The trainable model with simulated integers."""

import inspect

import keras
from keras import ops

from keras_frm.models.image_size import check_image_size
from keras_frm.models.segmentation_model import SegmentationModel
from keras_frm.presets import quantization_preset
from keras_frm.recipes import recipe

_CROP = "load it with crop={size}, or pass another input_shape to quantize_aware"
_RESIZE = "load it with resize={size}"


@keras.saving.register_keras_serializable(package="keras_frm")
class QuantizedSegmentationModel(SegmentationModel):
    """A `SegmentationModel` whose network rounds as an int8 file does.

    `compile()` without arguments takes the preset's recipe for a fine-tuning. A
    teacher adds the cross-entropy between its class probabilities and the network's.

    Args:
        network: See `SegmentationModel`.
        teacher: Float network, not trained; None for no distillation.
        distillation_weight: Weight of the loss it adds.
        **kwargs: See `SegmentationModel`.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, at
    temperature 1.
    """

    def __init__(
        self,
        network: keras.Model,
        *args,
        teacher: keras.Model | None = None,
        distillation_weight: float = 1.0,
        **kwargs,
    ):
        super().__init__(network, *args, **kwargs)
        self.teacher = teacher
        self.distillation_weight = distillation_weight
        if teacher is not None:
            teacher.trainable = False

    @classmethod
    def of(cls, model: SegmentationModel, network: keras.Model, **kwargs):
        """Return a model around another network with the settings of a model.

        Args:
            model: Whose preset, contrastive loss and embedding head to take.
            network: The quantised network.
            **kwargs: `teacher`, of the same classes, which is copied, and
                `distillation_weight`.
        """
        teacher = kwargs.pop("teacher", None)
        new = cls(
            network,
            model.preset,
            model.contrastive_weight,
            model.temperature,
            model.embedding_dim,
            teacher=teacher and _copy_of(getattr(teacher, "network", teacher)),
            name=model.name,
            **kwargs,
        )
        if model.contrastive_weight:
            new.embedding_head.set_weights(model.embedding_head.get_weights())
        return new

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        if optimizer is None or loss is None or metrics is None:
            fine_tuning = quantization_preset(self.preset)
            default = recipe(fine_tuning, num_classes=self.num_classes)
            optimizer = default["optimizer"] if optimizer is None else optimizer
            loss = default["loss"] if loss is None else loss
            metrics = default["metrics"] if metrics is None else metrics
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)

    def fit(self, *args, **kwargs):
        given = inspect.signature(keras.Model.fit).bind(self, *args, **kwargs).arguments
        for name, what, remedy in (
            ("x", "training data", _CROP),
            ("validation_data", "validation data", _RESIZE),
        ):
            check_image_size(self.network, given.get(name), what, remedy)
        return super().fit(*args, **kwargs)

    def compute_loss(
        self, x=None, y=None, y_pred=None, sample_weight=None, training=True
    ):
        loss = super().compute_loss(x, y, y_pred, sample_weight, training)
        if self.teacher is None or not training:
            return loss
        distillation = self._distillation(x, y_pred) / self.replicas
        return loss + self.distillation_weight * distillation

    def _distillation(self, images, logits):
        """Return the mean cross-entropy between the teacher's classes and these."""
        wanted = ops.softmax(self.teacher(images, training=False))  # (B, H, W, C)
        return -ops.mean(ops.sum(wanted * ops.log_softmax(logits), axis=-1))

    def get_config(self):
        teacher = self.teacher
        return {
            **super().get_config(),
            "teacher": teacher and keras.saving.serialize_keras_object(teacher),
            "distillation_weight": self.distillation_weight,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        teacher = config.pop("teacher", None)
        if teacher is not None:
            config["teacher"] = keras.saving.deserialize_keras_object(teacher)
        return super().from_config(config, custom_objects)


def _copy_of(teacher):
    """Return a copy of a teacher: it is frozen, and its owner may train on."""
    copy = type(teacher).from_config(teacher.get_config())
    copy.set_weights(teacher.get_weights())
    return copy
