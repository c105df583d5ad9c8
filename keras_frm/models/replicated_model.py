"""What Keras' `fit` needs to train on several replicas and workers."""

import keras

from keras_frm.backend.replicas import replicas_of, scope_of
from keras_frm.data.arrays.dataset import DeviceBatches


class ReplicatedModel(keras.Model):
    """A Keras model whose `fit` and `evaluate` work under `tf.distribute`.

    Make and compile it in the scope of the strategy, with all its layers built. A log
    of an epoch is its metric's over all replicas. Under `keras.distribution` all
    devices compute one batch, as one replica.
    """

    def compile(self, optimizer="rmsprop", loss=None, metrics=None, **kwargs):
        with scope_of(self):
            super().compile(optimizer=optimizer, loss=loss, metrics=metrics, **kwargs)
        if self.replicas == 1:
            return
        if self.steps_per_execution > 1:
            # TensorFlow 2.21 loses inputs of the loop over a distributed iterator.
            raise ValueError(
                f"`steps_per_execution` must be 1 on {self.replicas} devices; Keras "
                "cannot run several steps at once there."
            )
        if self.jit_compile:
            # XLA compiles one replica's step, within which none can meet the others.
            raise ValueError(
                f"XLA cannot compile a step on {self.replicas} devices; leave out "
                "`jit_compile=True`, or train on one device."
            )
        made_here = self.distribute_strategy.extended.variable_created_in_scope
        given = [m for m in keras.tree.flatten(metrics) if hasattr(m, "variables")]
        variables = [v for metric in [*self.metrics, *given] for v in metric.variables]
        variables += self.optimizer.variables if self.optimizer else []
        outside = [v.path for v in variables if not made_here(v.value)]
        if outside:
            raise ValueError(
                f"{outside[0]} was made outside of the strategy's scope, so the "
                "replicas would not share it; make optimizer and metrics within."
            )

    @property
    def replicas(self) -> int:
        """Number of replicas that the model trains on."""
        return replicas_of(self)

    def refuse_batches_of_one_device(self, data) -> None:
        """Raise where batches are made on one device, and several share them out.

        Args:
            data: What `fit` is given.

        Raises:
            ValueError: They are, and there are several replicas.
        """
        if self.replicas > 1 and isinstance(data, DeviceBatches):
            raise ValueError(
                "dataset_from_arrays makes its batches on one device, and the model "
                f"trains on {self.replicas}. Pass a dataset of keras_frm.load_dataset."
            )

    def make_train_function(self, force=False):
        # Variables made while tracing would make TensorFlow trace the step twice.
        if self.optimizer is not None and not self.optimizer.built:
            with scope_of(self):
                self.optimizer.build(self.trainable_variables)
        return super().make_train_function(force)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Under a strategy, Keras 3.15 builds what it finds unbuilt from a batch, which
        # the training then lacks, and fails over several workers.
        pass

    def _get_metrics_result_or_logs(self, logs):
        # Where a step leaves a metric out, Keras takes its last logs: means over
        # replicas, which are no sums of confusion matrices.
        results = self.get_metrics_result()
        return {name: results.get(name, logs[name]) for name in logs}
