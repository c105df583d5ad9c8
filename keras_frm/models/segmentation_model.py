"""The trainable model: the network and what only its training needs."""

import inspect
from collections.abc import Mapping

import keras

from keras_frm.backend.replicas import scope_of
from keras_frm.layers.blocks.normalization import synchronize_batch_norms
from keras_frm.losses import PixelContrastiveLoss
from keras_frm.models.auxiliary import (
    boundary_aware_term,
    boundary_output,
    chosen_losses,
    log_name,
    loss_at_full_size,
    trained_parts,
    weight_of,
)
from keras_frm.models.checked_steps import CheckedStepModel
from keras_frm.models.contrastive_term import contrastive_term, embedding_head
from keras_frm.networks.contract import NetworkParts
from keras_frm.optimizers.backbone_rate import BackboneRate
from keras_frm.optimizers.poly_decay import PlanLearningRate, unplanned_schedule
from keras_frm.presets import Preset
from keras_frm.presets import preset as preset_of
from keras_frm.recipes import recipe


@keras.saving.register_keras_serializable(package="keras_frm")
class SegmentationModel(CheckedStepModel):
    """A segmentation network with the losses of its training.

    The loss is the sum of `cross_entropy` (the loss that is compiled), of `aux_NAME`
    for each auxiliary output of the network, of `boundary_aware` where the recipe asks
    for it and an output finds boundaries, and of `contrastive`: while training, an
    embedding head (one 1x1 convolution on the network's features, computed for the
    sampled pixels only) feeds `PixelContrastiveLoss`. Weights are the recipe's.
    `predict`, `evaluate`, `export` and `network` are free of all but the logits.

    Made and compiled in the scope of a `tf.distribute` strategy, it trains on the
    global batch: labelled pixels and BatchNorm statistics are those of all replicas;
    contrastive anchors are compared within each replica, and their losses averaged.
    Under JAX and `keras.distribution`, all devices compute the global batch as one.

    Steps that are not finite are left out, see `CheckedStepModel`.

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
    >>> from keras_frm.layers import VAN
    >>> from keras_frm.networks.registry import build_parts
    >>> backbone = VAN((8, 8, 16, 16), (2, 2, 2, 2), (1, 1, 1, 1))
    >>> parts = build_parts(11, backbone=backbone, decoder_width=32)
    >>> model = SegmentationModel(parts, "camvid")
    >>> model.compile()
    >>> images = keras.ops.full((1, 64, 64, 3), 128.0)
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
        super().__init__(**kwargs)
        self.preset = chosen = preset_of(preset)
        self.parts = parts = trained_parts(network, chosen)
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

        names = ["cross_entropy", *map(log_name, parts.auxiliary)]
        self.boundary_output = boundary_output(parts)
        self.boundary_aware_weight = 0.0
        if self.boundary_output:
            self.boundary_aware_weight = chosen.recipe.boundary_aware_weight
        if self.boundary_aware_weight:
            names.append("boundary_aware")
        if contrastive_weight:
            names.append("contrastive")
            self.contrastive_loss = PixelContrastiveLoss(temperature)
            self.embedding_head = embedding_head(
                parts, embedding_dim, self.dtype_policy
            )
        self.add_trackers(names)
        self.built = True

    @property
    def num_classes(self) -> int:
        """Number of classes the network tells apart."""
        return self.parts.num_classes

    @property
    def trained_layers(self) -> list[keras.Layer]:
        """The network, and the layers of auxiliary outputs."""
        return [self.network, *self.auxiliary_layers]

    @property
    def stride(self) -> int:
        """Rows of the image for one row of the logits before their last resizing."""
        return self.parts.stride

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
            with scope_of(self):
                default = recipe(self.compiled_preset, num_classes=self.num_classes)
            optimizer = default["optimizer"] if optimizer is None else optimizer
            loss = default["loss"] if loss is None else loss
            metrics = default["metrics"] if metrics is None else metrics
        self.auxiliary_losses = chosen_losses(self.parts, self.preset, auxiliary_losses)
        super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        if isinstance(self.plain_optimizer, BackboneRate):
            self.plain_optimizer.set_backbone(self.parts.variables_of("backbone"))
        for part in self.trained_layers:
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
        """Train as `keras.Model.fit` does; `class_weight` weighs pixels by label.

        Raises:
            ValueError: The first images are no RGB in [0, 255], or the batches are on
                one device and the model on several.
        """
        call = inspect.signature(super().fit).bind(*args, **kwargs)
        self.refuse_batches_of_one_device(call.arguments.get("x"))
        self.weigh_classes(call.arguments.pop("class_weight", None))
        self.image_levels.reset()
        schedule = unplanned_schedule(self.optimizer)
        if schedule is not None:
            plan = PlanLearningRate(schedule, call.arguments.get("initial_epoch", 0))
            given = call.arguments.get("callbacks") or []
            call.arguments["callbacks"] = [plan, *given]
        return super().fit(*call.args, **call.kwargs)

    def variables_beside(self):
        found = super().variables_beside()
        if not self.contrastive_weight:
            return found
        # The loss is no layer, so the model does not know of its random numbers.
        return [*found, self.contrastive_loss.seed_generator.state]

    def training_outputs(self, images):
        return self._training_outputs(images, training=True)

    def loss_terms(self, images, labels, outputs, sample_weight):
        logits = outputs["logits"]
        # As Keras wants them, the losses of all replicas add up to the batch's.
        main = self.compute_loss(images, labels, logits, sample_weight, training=True)
        terms = {"cross_entropy": (1.0, main)}
        for name, loss in self.auxiliary_losses.items():
            output = outputs[log_name(name)]
            terms[log_name(name)] = (
                weight_of(name, self.parts, self.preset),
                loss_at_full_size(loss, labels, output, sample_weight),
            )
        if self.boundary_aware_weight:
            boundary = outputs[log_name(self.boundary_output)]
            term = boundary_aware_term(
                self.preset, labels, logits, boundary, sample_weight
            )
            terms["boundary_aware"] = (self.boundary_aware_weight, term)
        if self.contrastive_weight:
            embedded = self.contrastive_loss, self.embedding_head
            term = contrastive_term(*embedded, labels, logits, outputs["features"])
            terms["contrastive"] = (self.contrastive_weight, term / self.replicas)
        return terms

    def export(self, *args, **kwargs):
        """Export `network`; its input is known, a subclassed model's is not."""
        return self.network.export(*args, **kwargs)

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
