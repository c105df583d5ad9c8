"""Train on a folder of your own images.

    python examples/train_own_images.py my_street/

`my_street/` holds images/train, images/val, masks/train, masks/val and classes.csv
(id,name,r,g,b). Expect a falling loss and, after some dozen epochs, a rising
validation mean IoU; what it reaches depends on your data. The file it leaves knows its
classes:

    keras-frm evaluate mine.keras --data my_street/
    keras-frm predict mine.keras photo.jpg
"""

import dataclasses
import sys

import keras_frm

root = sys.argv[1]
size = (256, 512)
train = keras_frm.load_dataset("folder", root, "train", batch_size=8, crop=size)
val = keras_frm.load_dataset("folder", root, "val", batch_size=1)

preset = keras_frm.register_preset(
    dataclasses.replace(
        keras_frm.presets.PRESETS["camvid"],
        name="mine",
        dataset="folder",
        labels=train.labels,
    )
)
model = keras_frm.build_model(preset, backbone="van_tiny")
model.compile()
model.fit(train, validation_data=val, epochs=50, shuffle=False)
model.save("mine.keras")
print(keras_frm.evaluate(model, val).mean_iou)
