"""The values of a graph's tensors, computed one call after the other."""

import keras

from keras_frm.graph.graph import Call, Graph


class GraphRun:
    """A run of a Functional model that goes only as far as somebody asks.

    With two of them in one `tf.function`, two graphs can be compared tensor by tensor
    without all tensors of either in memory.

    Args:
        graph: The graph of the model.
        inputs: Values of the model's inputs.

    Example:
    >>> x = keras.Input((2,))
    >>> graph = Graph(keras.Model(x, keras.ops.relu(keras.ops.negative(x))))
    >>> run = GraphRun(graph, [keras.ops.array([[-1.0, 2.0]])])
    >>> run.value(graph.calls[0].outputs[0]).numpy().tolist()
    [[1.0, -2.0]]
    """

    def __init__(self, graph: Graph, inputs):
        self._values = {
            id(tensor): value
            for tensor, value in zip(graph.inputs, inputs, strict=True)
        }
        self._calls = iter(graph.calls)

    def value(self, tensor):
        """Return the value of one of the graph's tensors."""
        while id(tensor) not in self._values:
            self._run(next(self._calls))
        return self._values[id(tensor)]

    def _run(self, call: Call):
        inputs = list({id(tensor): tensor for tensor in call.inputs}.values())
        function = keras.Function(inputs, list(call.outputs))
        results = function([self._values[id(tensor)] for tensor in inputs])
        for tensor, result in zip(call.outputs, results, strict=True):
            self._values[id(tensor)] = result
