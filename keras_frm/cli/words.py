"""What the library says in Python's words, in the options of the command line."""

# What an error of the library tells to do -> how the commands call that.
_OPTIONS = {
    "another run folder": "another run folder with --out",
    "begin with weights from": "begin with --weights",
    "can get more epochs": "gets more by --more-epochs N",
    "give the same to go on": "leave --more-epochs out to go on",
    "a batch size of": "--batch-size",
    "Lower batch_size or pass drop_remainder=False": "Lower --batch-size",
    "lower the learning rate": "lower --learning-rate",
    "devices must be": "--devices must be",
    "take 'all' or": "take --devices all or",
    "leave out `jit_compile=True`": "leave out --xla",
    "pass labels=": "pass --preset",
    "export one with output='mask'": "export one with --output mask",
    "have them ignored": "pass --unlabelled ignore",
    "Give the folder of images": "Pass --images, the folder of images",
    "a class file with": "a --class-file with",
    "leave the class file out": "leave --class-file out",
    "Call keras.config.set_image_data_format('channels_last')": (
        "Set image_data_format to channels_last in Keras' keras.json"
    ),
}


def with_options(line: str) -> str:
    """Return an error's line with the options that do what it says.

    Args:
        line: What the library said.

    Example:
    >>> with_options("runs/a is not empty; name another run folder, or remove it.")
    'runs/a is not empty; name another run folder with --out, or remove it.'
    """
    for words, option in _OPTIONS.items():
        line = line.replace(words, option)
    return line
