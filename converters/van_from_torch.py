"""Turn an official VAN checkpoint into Keras weights of the backbone.

    python converters/van_from_torch.py van_small_811.pth.tar van_small.keras

The checkpoint is read without PyTorch and without executing anything in it. The result
is a `.keras` file of a model from an image in [0, 255] to the features of the four
stages. `build_model(weights="van_small.keras")` takes it, or the checkpoint itself.
"""

import argparse
import os
import sys
from pathlib import Path

import keras

import keras_frm


def convert(checkpoint: Path, target: Path, backbone: str) -> None:
    """Load a checkpoint into a new backbone and save it."""
    network = keras_frm.build_model("cityscapes", backbone=backbone).network
    keras_frm.load_van_weights(network, checkpoint)
    features = network.get_layer("backbone").output
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}")
    keras.Model(network.inputs, features, name=backbone).save(unfinished)
    os.replace(unfinished, target)


def main() -> int:
    """Run the converter; an error is one line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("checkpoint", type=Path, help=".pth or .pth.tar file")
    parser.add_argument("target", type=Path, help=".keras file to write")
    parser.add_argument(
        "--backbone",
        default="van_small",
        choices=("van_tiny", "van_small", "van_base", "van_large"),
    )
    arguments = parser.parse_args()
    if arguments.target.suffix != ".keras":
        parser.error(f"the target must end in .keras, not '{arguments.target.name}'")
    try:
        convert(arguments.checkpoint, arguments.target, arguments.backbone)
    except (ValueError, OSError) as error:
        print(f"van_from_torch: {error}", file=sys.stderr)
        return 1
    print(f"wrote {arguments.target}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
