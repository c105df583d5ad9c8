"""The trainable model: the network plus the pixel-contrastive loss."""

import inspect

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from keras_frm.backend import require_tensorflow
from keras_frm.backend.tensorflow.finite_step import (
    apply_or_restore,
    checked_gradients,
)
from keras_frm.backend.tensorflow.replicas import sum_over_replicas
from keras_frm.layers.blocks.normalization import synchronize_batch_norms
from keras_frm.losses import PixelContrastiveLoss
from keras_frm.losses.cross_entropy import as_labels
from keras_frm.models.class_weights import with_class_weights
from keras_frm.models.replicated_model import ReplicatedModel
from keras_frm.optimizers.poly_decay import PlanLearningRate, unplanned_schedule
from keras_frm.optimizers.skipped_steps import SkippedSteps
from keras_frm.presets import Preset
from keras_frm.recipes import recipe


@keras.saving.register_keras_serializable(package="keras_frm")
class SegmentationModel(ReplicatedModel):
    """A segmentation network with a `train_step` that adds a contrastive loss.

    While training, an embedding head (one 1x1 convolution on the decoder's features,
    computed for the sampled pixels only) feeds `PixelContrastiveLoss`. `predict`,
    `evaluate`, `export` and `network` are free of it.

    Made and compiled in the scope of a `tf.distribute` strategy, it trains on the
    global batch: labelled pixels and BatchNorm statistics are those of all replicas;
    contrastive anchors are compared within each replica, and their losses averaged.

    A step whose loss or gradients are not finite changes nothing but the count of
    `skipped_steps`, which is reset each epoch, and `skipped_in_a_row`.

    Args:
        network: Functional model from RGB in [0, 255] to logits, with a layer named
            "classifier" that takes the decoder's features.
        preset: Preset whose recipe `compile()` takes, or its name. A file keeps the
            name only.
        contrastive_weight: Weight of the contrastive loss (lambda); 0 for none.
        temperature: Temperature of the contrastive loss (tau).
        embedding_dim: Channels of the embedding head.
        name: Name of the model.
        dtype: Dtype policy; decides about loss scaling.

    Example:
    >>> from keras_frm.networks.frm import build_network
    >>> network = build_network(11, backbone="van_tiny", decoder_width=32)
    >>> model = SegmentationModel(network, "camvid")
    >>> model.compile()
    >>> images = keras.ops.ones((1, 64, 64, 3))
    >>> labels = keras.ops.zeros((1, 64, 64), "uint8")
    >>> history = model.fit(images, labels, verbose=0)
    >>> sorted(history.history)
    ['contrastive', 'cross_entropy', 'loss', 'mean_iou', 'skipped_steps']
    """

    def __init__(
        self,
        network: keras.Model,
        preset: str | Preset = "cityscapes",
        contrastive_weight: float = 1.0,
        temperature: float = 0.1,
        embedding_dim: int = 256,
        **kwargs,
    ):
        require_tensorflow("A trainable model of keras_frm")
        super().__init__(**kwargs)
        self.network = network
        self.preset = preset
        self.contrastive_weight = contrastive_weight
        self.temperature = temperature
        self.embedding_dim = embedding_dim
        self.cross_entropy_tracker = keras.metrics.Mean(name="cross_entropy")
        self.skipped_tracker = SkippedSteps()
        # On integers, it also takes the step of its input.
        taken = keras.tree.flatten(network.get_layer("classifier").input)
        features = taken[0]  # (B, H / 4, W / 4, C)
        with_features = keras.Model(network.input, [network.output, features])
        # A bound method, so that Keras does not track and save the layers twice.
        self._logits_and_features = with_features.__call__
        if contrastive_weight:
            self.contrastive_tracker = keras.metrics.Mean(name="contrastive")
            self.contrastive_loss = PixelContrastiveLoss(temperature)
            self.embedding_head = keras.layers.Dense(
                embedding_dim, dtype=self.dtype_policy, name="embedding_head"
            )
            self.embedding_head.build((None, features.shape[-1]))
        self.built = True

    @property
    def num_classes(self) -> int:
        """Number of classes the network tells apart."""
        return self.network.output.shape[-1]

    @property
    def skipped_in_a_row(self) -> int:
        """Steps left out since the last one that was taken."""
        return int(tf.convert_to_tensor(self.skipped_tracker.in_a_row))

    def call(self, images, training=False):
        return self.network(images, training=training)

    def compile(self, optimizer=None, loss=None, metrics=None, **kwargs):
        """Set up training; what is not given comes from the preset's recipe.

        Args:
            optimizer: See `keras.Model.compile`.
            loss: Loss of (labels, logits), see `keras.Model.compile`.
            metrics: List of metrics; an empty list for none.
            **kwargs: See `keras.Model.compile`.
        """
        if optimizer is None or loss is None or metrics is None:
            # Variables belong to the devices that the weights are on.
            with self.distribute_strategy.scope():
                default = recipe(self.preset, num_classes=self.num_classes)
            optimizer = default["optimizer"] if optimizer is None else optimizer
            loss = default["loss"] if loss is None else loss
            metrics = default["metrics"] if metrics is None else metrics
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        synchronize_batch_norms(self.network, self.replicas > 1)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def fit(self, *args, **kwargs):
        """Train as `keras.Model.fit` does; `class_weight` weighs pixels by label."""
        call = inspect.signature(super().fit).bind(*args, **kwargs)
        class_weight = call.arguments.pop("class_weight", None)
        if class_weight is not None:
            call.arguments["x"] = with_class_weights(
                call.arguments.get("x"), class_weight, self.num_classes
            )
        schedule = unplanned_schedule(self.optimizer)
        if schedule is not None:
            plan = PlanLearningRate(schedule, call.arguments.get("initial_epoch", 0))
            given = call.arguments.get("callbacks") or []
            call.arguments["callbacks"] = [plan, *given]
        return super().fit(*call.args, **call.kwargs)

    def train_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        # Moving averages follow the forward pass, before the step is known to be good.
        before = [(v, tf.identity(v.value)) for v in self.network.non_trainable_weights]
        with tf.GradientTape() as tape:
            logits, features = self._logits_and_features(images, training=True)
            # As Keras wants them, the losses of all replicas add up to the batch's.
            cross_entropy = self.compute_loss(
                images, labels, logits, sample_weight, training=True
            )
            loss = cross_entropy
            if self.contrastive_weight:
                contrastive = self._contrastive(labels, logits, features)
                contrastive = contrastive / self.replicas
                loss = loss + self.contrastive_weight * contrastive
            scaled_loss = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, weights)
        taken, gradients = checked_gradients(self.optimizer, loss, gradients)
        apply_or_restore(self.optimizer, taken, gradients, weights, before)

        self.skipped_tracker.update_state(~taken)
        losses = {"loss": loss, "cross_entropy": cross_entropy}
        if self.contrastive_weight:
            losses["contrastive"] = contrastive
        self._track(images, losses, taken)
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        return self.averaged(logs)

    def test_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(images, training=False)
        loss = self.compute_loss(images, labels, logits, sample_weight, training=False)
        self._track(images, {"loss": loss, "cross_entropy": loss})
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        for name in ("contrastive", "skipped_steps"):
            logs.pop(name, None)
        return self.averaged(logs)

    def _track(self, images, losses, taken=True):
        """Feed the trackers of losses with the batch, unless its step was left out."""
        # The replicas' mean, so that uneven last batches weigh by their global size.
        size = ops.cast(_batch_size(images), "float32")
        size = sum_over_replicas(size) / self.replicas
        for metric in self.metrics:
            if metric.name in losses:
                loss = losses[metric.name] * self.replicas
                # Not a number times a weight of 0 would still be none.
                loss, weight = ops.where(taken, loss, 0.0), ops.where(taken, size, 0.0)
                metric.update_state(loss, weight)

    def _contrastive(self, labels, logits, features):
        """Return the contrastive loss at the decoder's resolution."""
        size = ops.shape(features)[1:3]
        labels = _nearest(as_labels(labels), size)  # (B, H / 4, W / 4)
        # What is no class is left out, whichever label the preset ignores.
        ignored = self.contrastive_loss.ignore_label
        labels = ops.where(labels < self.num_classes, labels, ignored)
        predictions = ops.argmax(_nearest(logits, size), axis=-1)
        indices, valid = self.contrastive_loss.sample(labels, predictions)
        pixels = ops.reshape(features, (-1, features.shape[-1]))
        embeddings = self.embedding_head(ops.take(pixels, indices, axis=0))  # (A, D)
        anchor_labels = ops.take(ops.reshape(labels, (-1,)), indices)  # (A,)
        return self.contrastive_loss.from_anchors(anchor_labels, embeddings, valid)

    def export(self, *args, **kwargs):
        """Export `network`; its input is known, a subclassed model's is not."""
        return self.network.export(*args, **kwargs)

    def save_own_variables(self, store):
        store["skipped_in_a_row"] = np.int32(self.skipped_in_a_row)

    def load_own_variables(self, store):
        if "skipped_in_a_row" in store.keys():  # noqa: SIM118 (no mapping)
            self.skipped_tracker.in_a_row.assign(store["skipped_in_a_row"])

    def get_config(self):
        return {
            **super().get_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "preset": getattr(self.preset, "name", self.preset),
            "contrastive_weight": self.contrastive_weight,
            "temperature": self.temperature,
            "embedding_dim": self.embedding_dim,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        network = keras.saving.deserialize_keras_object(config.pop("network"))
        return cls(network, **config)


def _batch_size(images):
    """Return the number of images, the weight of a batch in the epoch's mean."""
    return ops.shape(images)[0]


def _nearest(x, size):
    """Pick the pixels nearest to the centres of a coarser grid."""
    for axis, length in zip((1, 2), size, strict=True):
        step = ops.cast(ops.shape(x)[axis], "float32") / ops.cast(length, "float32")
        centres = (ops.arange(length, dtype="float32") + 0.5) * step
        x = ops.take(x, ops.cast(centres, "int32"), axis=axis)
    return x  # (B, h, w, ...)
