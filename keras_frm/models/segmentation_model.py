"""The trainable model: the network and what only its training needs."""

import dataclasses
import inspect
from collections.abc import Mapping

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
from keras_frm.models.auxiliary import chosen_losses, loss_at_full_size
from keras_frm.models.class_weights import with_class_weights
from keras_frm.models.pixel_contrast import contrastive_loss_of
from keras_frm.models.replicated_model import ReplicatedModel
from keras_frm.networks.contract import NetworkParts, parts_of
from keras_frm.optimizers.backbone_rate import BackboneRate
from keras_frm.optimizers.loss_scaling import without_loss_scaling
from keras_frm.optimizers.poly_decay import PlanLearningRate, unplanned_schedule
from keras_frm.optimizers.skipped_steps import SkippedSteps
from keras_frm.presets import Preset
from keras_frm.presets import preset as preset_of
from keras_frm.recipes import recipe


@keras.saving.register_keras_serializable(package="keras_frm")
class SegmentationModel(ReplicatedModel):
    """A segmentation network with the losses of its training.

    The loss is the sum of `cross_entropy` (the loss that is compiled), of `aux_NAME`
    for each auxiliary output of the network, and of `contrastive`: while training, an
    embedding head (one 1x1 convolution on the network's features, computed for the
    sampled pixels only) feeds `PixelContrastiveLoss`. Weights are the recipe's.
    `predict`, `evaluate`, `export` and `network` are free of all but the logits.

    Made and compiled in the scope of a `tf.distribute` strategy, it trains on the
    global batch: labelled pixels and BatchNorm statistics are those of all replicas;
    contrastive anchors are compared within each replica, and their losses averaged.

    A step whose loss or gradients are not finite changes nothing but the count of
    `skipped_steps`, which is reset each epoch, and `skipped_in_a_row`.

    Args:
        network: What a builder returns, see `NetworkParts`; or a Functional model from
            RGB in [0, 255] to logits, see `parts_of`.
        preset: Preset whose classes and recipe the training takes, or its name. A file
            keeps the whole preset.
        contrastive_weight: Weight of the contrastive loss (lambda), 0 for none; the
            recipe's by default, none for a network without features.
        temperature: Temperature of the contrastive loss (tau), the recipe's by default.
        embedding_dim: Channels of the embedding head.
        name: Name of the model.
        dtype: Dtype policy; decides about loss scaling.

    Raises:
        ValueError: There is no such preset, or nothing that an embedding head reads.

    Example:
    >>> from keras_frm.networks.registry import build_parts
    >>> parts = build_parts(11, backbone="van_tiny", decoder_width=32)
    >>> model = SegmentationModel(parts, "camvid")
    >>> model.compile()
    >>> images = keras.ops.ones((1, 64, 64, 3))
    >>> labels = keras.ops.zeros((1, 64, 64), "uint8")
    >>> history = model.fit(images, labels, verbose=0)
    >>> sorted(history.history)
    ['contrastive', 'cross_entropy', 'loss', 'mean_iou', 'skipped_steps']
    """

    def __init__(
        self,
        network: NetworkParts | keras.Model,
        preset: str | Preset = "cityscapes",
        contrastive_weight: float | None = None,
        temperature: float | None = None,
        embedding_dim: int = 256,
        **kwargs,
    ):
        require_tensorflow("A trainable model of keras_frm")
        super().__init__(**kwargs)
        self.preset = chosen = preset_of(preset)
        self.parts = parts = _trained_parts(network, chosen)
        self.network = parts.network()
        if contrastive_weight is None:
            weighted = parts.features is not None
            contrastive_weight = chosen.recipe.contrastive_weight if weighted else 0.0
        if temperature is None:
            temperature = chosen.recipe.temperature
        self.contrastive_weight = contrastive_weight
        self.temperature = temperature
        self.embedding_dim = embedding_dim

        graph = parts.training_graph()
        inference = set(map(id, self.network.layers))
        self.auxiliary_layers = [x for x in graph.layers if id(x) not in inference]
        # A bound method, so that Keras does not track and save the layers twice.
        self._training_outputs = graph.__call__
        for layer in graph.layers:
            # From a file, a frozen layer comes back with parts that are not.
            if not layer.trainable:
                for part in layer._flatten_layers():
                    part.trainable = False
        self.features_reader = parts.features_reader()

        names = ["cross_entropy", *map(_log_name, parts.auxiliary)]
        if contrastive_weight:
            names.append("contrastive")
            self._add_embedding_head()
        self.loss_trackers = [keras.metrics.Mean(name=name) for name in names]
        self.skipped_tracker = SkippedSteps()
        self.built = True

    def _add_embedding_head(self):
        features = self.parts.features  # (B, H / s, W / s, C)
        if features is None:
            raise ValueError(
                f"Network '{self.network.name}' has no features for an embedding head; "
                "pass contrastive_weight=0."
            )
        self.contrastive_loss = PixelContrastiveLoss(self.temperature)
        self.embedding_head = keras.layers.Dense(
            self.embedding_dim, dtype=self.dtype_policy, name="embedding_head"
        )
        self.embedding_head.build((None, features.shape[-1]))

    @property
    def num_classes(self) -> int:
        """Number of classes the network tells apart."""
        return self.parts.num_classes

    @property
    def stride(self) -> int:
        """Rows of the image for one row of the logits before their last resizing."""
        return self.parts.stride

    @property
    def skipped_in_a_row(self) -> int:
        """Steps left out since the last one that was taken."""
        return int(tf.convert_to_tensor(self.skipped_tracker.in_a_row))

    def call(self, images, training=False):
        return self.network(images, training=training)

    def compile(
        self,
        optimizer=None,
        loss=None,
        metrics=None,
        auxiliary_losses: Mapping[str, keras.Loss | str] | None = None,
        **kwargs,
    ):
        """Set up training; what is not given comes from the preset's recipe.

        Args:
            optimizer: See `keras.Model.compile`.
            loss: Loss of (labels, logits), see `keras.Model.compile`.
            metrics: List of metrics; an empty list for none.
            auxiliary_losses: Name of an auxiliary output -> loss of (labels, output at
                the labels' size).
            **kwargs: See `keras.Model.compile`.
        """
        if optimizer is None or loss is None or metrics is None:
            # Variables belong to the devices that the weights are on.
            with self.distribute_strategy.scope():
                default = recipe(self.compiled_preset, num_classes=self.num_classes)
            optimizer = default["optimizer"] if optimizer is None else optimizer
            loss = default["loss"] if loss is None else loss
            metrics = default["metrics"] if metrics is None else metrics
        self.auxiliary_losses = chosen_losses(self.parts, self.preset, auxiliary_losses)
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        optimizer = without_loss_scaling(self.optimizer)
        if isinstance(optimizer, BackboneRate):
            optimizer.set_backbone(self.parts.variables_of("backbone"))
        for part in (self.network, *self.auxiliary_layers):
            synchronize_batch_norms(part, self.replicas > 1)

    @property
    def compiled_preset(self) -> Preset:
        """The preset whose recipe `compile` takes."""
        return self.preset

    def get_compile_config(self):
        config = super().get_compile_config()
        if config and self.auxiliary_losses:
            serialize = keras.saving.serialize_keras_object
            config["auxiliary_losses"] = {
                name: serialize(loss) for name, loss in self.auxiliary_losses.items()
            }
        return config

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
        moved = [
            variable
            for part in (self.network, *self.auxiliary_layers)
            for variable in part.non_trainable_weights
        ]
        before = [(variable, tf.identity(variable.value)) for variable in moved]
        with tf.GradientTape() as tape:
            losses, logits = self.training_losses(images, labels, sample_weight)
            scaled_loss = self.optimizer.scale_loss(losses["loss"])
        weights = self.trainable_weights
        gradients = tape.gradient(scaled_loss, weights)
        taken, gradients = checked_gradients(self.optimizer, losses["loss"], gradients)
        apply_or_restore(self.optimizer, taken, gradients, weights, before)

        self.skipped_tracker.update_state(~taken)
        self._track(images, losses, taken)
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        return self.averaged(logs)

    def training_losses(
        self, images, labels, sample_weight=None
    ) -> tuple[dict, tf.Tensor]:
        """Return the losses of a training step of this replica.

        Args:
            images: (B, H, W, 3), RGB in [0, 255].
            labels: (B, H, W) or (B, H, W, 1) integer labels.
            sample_weight: See `CrossEntropy`.

        Returns:
            Name in the logs -> scalar, where "loss" is the weighted sum of the others;
            and the logits (B, H, W, C).
        """
        outputs = self._training_outputs(images, training=True)
        terms = self._loss_terms(images, labels, outputs, sample_weight)
        (_, loss), *others = terms.values()
        for weight, term in others:
            loss = loss + weight * term
        losses = {name: term for name, (_, term) in terms.items()}
        return {"loss": loss, **losses}, outputs["logits"]

    def _loss_terms(self, images, labels, outputs, sample_weight):
        """Return name -> (weight, loss), first the compiled loss, of weight 1."""
        logits = outputs["logits"]
        # As Keras wants them, the losses of all replicas add up to the batch's.
        main = self.compute_loss(images, labels, logits, sample_weight, training=True)
        terms = {"cross_entropy": (1.0, main)}
        for name, loss in self.auxiliary_losses.items():
            output = outputs[_log_name(name)]
            terms[_log_name(name)] = (
                self.preset.recipe.auxiliary_weight(name),
                loss_at_full_size(loss, labels, output, sample_weight),
            )
        if self.contrastive_weight:
            contrastive = contrastive_loss_of(
                *(self.contrastive_loss, self.embedding_head),
                *(labels, logits, outputs["features"]),
            )
            terms["contrastive"] = (
                self.contrastive_weight,
                contrastive / self.replicas,
            )
        return terms

    def test_step(self, data):
        images, labels, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        logits = self(images, training=False)
        loss = self.compute_loss(images, labels, logits, sample_weight, training=False)
        self._track(images, {"loss": loss, "cross_entropy": loss})
        logs = self.compute_metrics(images, labels, logits, sample_weight)
        _, *of_training = self.loss_trackers
        for metric in (*of_training, self.skipped_tracker):
            logs.pop(metric.name, None)
        return self.averaged(logs)

    def _track(self, images, losses, taken=True):
        """Feed the trackers of losses with the batch, unless its step was left out."""
        # The replicas' mean, so that uneven last batches weigh by their global size.
        size = ops.cast(ops.shape(images)[0], "float32")
        size = sum_over_replicas(size) / self.replicas
        for metric in self.metrics:
            if metric.name in losses:
                loss = losses[metric.name] * self.replicas
                # Not a number times a weight of 0 would still be none.
                loss, weight = ops.where(taken, loss, 0.0), ops.where(taken, size, 0.0)
                metric.update_state(loss, weight)

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
            "network": keras.saving.serialize_keras_object(self.parts.training_graph()),
            "groups": {name: list(of) for name, of in self.parts.groups.items()},
            "stride": self.parts.stride,
            "preset": self.preset.get_config(),
            "contrastive_weight": self.contrastive_weight,
            "temperature": self.temperature,
            "embedding_dim": self.embedding_dim,
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        config = dict(config)
        graph = keras.saving.deserialize_keras_object(config.pop("network"))
        groups, stride = config.pop("groups"), config.pop("stride")
        parts = NetworkParts.of_training_graph(graph, groups, stride)
        return cls(parts, preset=Preset.from_config(config.pop("preset")), **config)


def _trained_parts(network, chosen):
    """Return the parts that training needs: no output whose loss has a weight of 0."""
    parts = network if isinstance(network, NetworkParts) else parts_of(network)
    weight = chosen.recipe.auxiliary_weight
    auxiliary = {name: x for name, x in parts.auxiliary.items() if weight(name)}
    return dataclasses.replace(parts, auxiliary=auxiliary)


def _log_name(auxiliary):
    """Return the name of an auxiliary output in the logs and in a training graph."""
    return f"aux_{auxiliary}"
