"""What can be wrong with a file that somebody else made."""


class ModelFileError(ValueError):
    """What is wrong with a model file, in one line."""
