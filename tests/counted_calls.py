"""Something happens at the n-th call of a callback: a kill, an interruption."""

import os
import signal

from keras_frm.training.resume import KeepCheckpoints


def call_at(set_attribute, name, number, function):
    """Call a function at the n-th call of a method of `KeepCheckpoints`.

    Args:
        set_attribute: `setattr`, or `monkeypatch.setattr` to take it back.
        name: Of the method, as "on_train_batch_begin".
        number: From 1, over all epochs.
        function: Called without arguments, before the method.
    """
    original, seen = getattr(KeepCheckpoints, name), []

    def count(self, *arguments, **options):
        seen.append(1)
        if len(seen) == number:
            function()
        return original(self, *arguments, **options)

    set_attribute(KeepCheckpoints, name, count)


def end_by(kill):
    """Return a function that sends this process a signal, as "TERM"."""
    return lambda: os.kill(os.getpid(), getattr(signal, f"SIG{kill}"))
