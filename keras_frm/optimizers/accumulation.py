"""Gradient accumulation that works on several replicas."""

from keras import ops

from keras_frm.backend import is_tensorflow


class AccumulatedGradients:
    """Mixin of an optimizer: one update for `gradient_accumulation_steps` steps.

    Keras' own branches within a replica, where TensorFlow lets no branch exchange
    gradients; here all replicas branch as one. The numbers are Keras'. Other backends
    do as Keras does.

    Raises:
        ValueError: `ema_overwrite_frequency` is given, too.
    """

    def _backend_apply_gradients(self, grads, trainable_variables):
        steps = self.gradient_accumulation_steps
        if not steps or not is_tensorflow():
            super()._backend_apply_gradients(grads, trainable_variables)
            return
        if self.ema_overwrite_frequency:
            raise ValueError(
                "`ema_overwrite_frequency` does not go together with "
                "`gradient_accumulation_steps`; leave one of them out."
            )
        sums = [
            self._accumulated_gradients[self._get_variable_index(variable)]
            for variable in trainable_variables
        ]

        def collect(grads):
            for total, gradient in zip(sums, grads, strict=True):
                total.assign_add(gradient)

        def update(grads):
            pairs = zip(grads, sums, strict=True)
            means = [(gradient + total.value) / steps for gradient, total in pairs]
            means = self._clip_gradients(means)
            self._apply_weight_decay(trainable_variables)
            self._backend_update_step(means, trainable_variables, self.learning_rate)
            for total in sums:
                total.assign(ops.zeros_like(total.value))

        from keras_frm.backend.tensorflow.replicas import branch_together

        is_last = (self._iterations.value + 1) % steps == 0
        branch_together(is_last, (update, grads), (collect, grads))
        if self.use_ema:
            self._update_model_variables_moving_average(self._trainable_variables)
