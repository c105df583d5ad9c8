"""Errors that say what to do in the words of who called."""


class ArgumentError(ValueError):
    """A value that a caller must give, or give otherwise.

    The message speaks of the function's argument. A caller of another kind, such as the
    command line, says the same problem with a remedy of its own.

    Args:
        problem: What is wrong and where, a sentence without its end.
        argument: Name of the argument.
        remedy: What to do about it in Python; None is "pass <argument>=".

    Example:
    >>> error = ArgumentError("net.keras takes images of any size", "size")
    >>> str(error), error.argument
    ('net.keras takes images of any size; pass size=.', 'size')
    """

    def __init__(self, problem: str, argument: str, remedy: str | None = None):
        remedy = remedy or f"pass {argument}="
        super().__init__(f"{problem}; {remedy}.")
        self.problem = problem
        self.argument = argument
        self.remedy = remedy
