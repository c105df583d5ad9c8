"""Which operations of a file XNNPACK runs, read off a prepared interpreter."""

from collections import Counter


def delegated_outputs(interpreter) -> list[set[int]]:
    """Return the tensors that each partition puts out; the only delegate is XNNPACK.

    Args:
        interpreter: An interpreter of LiteRT with allocated tensors.
    """
    return [
        set(details["outputs"].tolist())
        for details in interpreter._get_ops_details()
        if details["op_name"] == "DELEGATE"
    ]


def outside_delegate(interpreter) -> Counter:
    """Count the operations that no partition replaces, by name.

    A partition's operations are those between its inputs and its outputs.

    Args:
        interpreter: An interpreter of LiteRT with allocated tensors.
    """
    details = interpreter._get_ops_details()
    operations = [entry for entry in details if entry["op_name"] != "DELEGATE"]
    makers = {t: entry for entry in operations for t in entry["outputs"].tolist()}
    replaced: set[int] = set()
    for partition in details:
        if partition["op_name"] != "DELEGATE":
            continue
        reached = set(partition["inputs"].tolist())
        pending = partition["outputs"].tolist()
        while pending:
            tensor = pending.pop()
            if tensor in reached or tensor not in makers:
                continue
            reached.add(tensor)
            replaced.add(makers[tensor]["index"])
            pending += makers[tensor]["inputs"].tolist()
    return Counter(e["op_name"] for e in operations if e["index"] not in replaced)
