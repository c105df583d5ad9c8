"""Which of several workers this process is."""

import json


def place_in_cluster(text: str) -> tuple[int, int]:
    """Return index and number of the workers that `TF_CONFIG` names.

    Args:
        text: What the environment variable holds; empty where there is none.

    Raises:
        ValueError: It is wrong, or asks for what is no worker.

    Example:
    >>> place_in_cluster("")
    (0, 1)
    >>> cluster = {"worker": ["first:2222", "second:2222"]}
    >>> place_in_cluster(json.dumps({"cluster": cluster, "task": {"index": 1}}))
    (1, 2)
    """
    if not text.strip():
        return 0, 1
    try:
        content = json.loads(text)
        workers = content.get("cluster", {}).get("worker", [])
        other = set(content.get("cluster", {})) - {"worker"}
        if other:
            raise ValueError(f"its cluster names {', '.join(sorted(other))}")
        if len(workers) < 2:
            return 0, 1
        index = content["task"]["index"]
        if content["task"].get("type", "worker") != "worker":
            raise ValueError(f"its task is of type '{content['task']['type']}'")
        if type(index) is not int or not 0 <= index < len(workers):
            raise ValueError(f"its task has the index {index!r}")
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        cause = str(error).partition("\n")[0]
        if isinstance(error, KeyError):
            cause = f"it has no {cause}"
        raise ValueError(
            f"TF_CONFIG is wrong: {cause}. It must read "
            '{"cluster": {"worker": ["host:port", ...]}, '
            '"task": {"type": "worker", "index": 0}}.'
        ) from error
    return index, len(workers)
