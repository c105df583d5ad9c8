"""A process that measures cases, one for each line, within a limit for each.

`python -m results.gpu.worker MODULE` is the process; MODULE has `measure`.
"""

import importlib
import json
import os
import select
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from results.gpu.cases import Case

ROOT = Path(__file__).resolve().parents[2]
# JAX takes three quarters of the memory unless it is told otherwise.
_ENVIRONMENT = {"KERAS_BACKEND": "jax", "XLA_PYTHON_CLIENT_MEM_FRACTION": "0.92"}
_OUT_OF_MEMORY = ("out of memory", "RESOURCE_EXHAUSTED")


class Worker:
    """The process of one side, started when it is asked and again when it was killed.

    Args:
        module: Module whose function `measure` makes a dict of a case.
    """

    def __init__(self, module: str):
        self.module = module
        self._process = None

    def ask(self, case: Case, seconds: float) -> dict:
        """Return what a case measures: "outcome" is "ok" or says what went wrong."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "results.gpu.worker", self.module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=ROOT,
                env={**_ENVIRONMENT, **os.environ},
            )
        self._process.stdin.write(f"{json.dumps(asdict(case))}\n".encode())
        self._process.stdin.flush()
        if not select.select([self._process.stdout], [], [], seconds)[0]:
            self.end()
            return {"outcome": f"not done after {seconds:.0f} s"}
        line = self._process.stdout.readline()
        answer = json.loads(line) if line else {"outcome": "the process died"}
        if answer["outcome"] != "ok":
            self.end()  # memory in pieces would spoil what follows
        return answer

    def end(self) -> None:
        """Kill the process, if there is one."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main() -> None:
    """Measure the case of each line of standard input, and print a line for it."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    for line in sys.stdin:
        try:
            side = importlib.import_module(sys.argv[1])
            found = {"outcome": "ok", **side.measure(Case(**json.loads(line)))}
        except Exception as error:
            found = {"outcome": outcome_of(error)}
        print(json.dumps(found), file=answers, flush=True)


def outcome_of(error: Exception) -> str:
    """Return one line about what went wrong."""
    text = f"{type(error).__name__}: {error}"
    if any(words in text for words in _OUT_OF_MEMORY):
        return "out of memory"
    return " ".join(text.split())[:200]


if __name__ == "__main__":
    main()
