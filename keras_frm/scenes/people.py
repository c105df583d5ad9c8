"""Persons, riders and two-wheelers of the synthetic scenes, as strokes in 3-D."""

from typing import NamedTuple

import numpy as np

from keras_frm.scenes.canvas import TRAIN_ID
from keras_frm.scenes.view import Item, View

# joint, joint, width in metres, colour. Joints that end in + stand on both sides.
_FIGURE = (
    ("hip+", "knee+", 0.16, "trousers"),
    ("knee+", "foot+", 0.11, "trousers"),
    ("foot+", "toe+", 0.09, "shoes"),
    ("shoulder-", "shoulder+", 0.17, "top"),
    ("shoulder+", "hip+", 0.21, "top"),
    ("neck", "seat", 0.24, "top"),
    ("shoulder+", "elbow+", 0.11, "sleeve"),
    ("elbow+", "hand+", 0.09, "sleeve"),
    ("hand+", "hand+", 0.1, "skin"),
    ("neck", "head", 0.12, "skin"),
    ("head", "head", 0.22, "skin"),
    ("crown", "crown", 0.21, "hair"),
)
_COAT = (("hip-", "hip+", 0.2, "top"), ("hip+", "knee+", 0.2, "top"))
_BAG = (("bag", "bag", 0.32, "bag"),)


class _Machine(NamedTuple):
    """A two-wheeler: wheels, frame and where its rider holds on, in metres."""

    axles: tuple[float, float]
    radius: float
    tyre: float
    frame: tuple  # (along, across, up), the same, width, colour
    rider: dict[str, tuple[float, float, float]]


_MACHINES = {
    "bicycle": _Machine(
        (-0.52, 0.54), 0.34, 0.05,
        (((-0.52, 0, 0.34), (-0.06, 0, 0.3), 0.05, "paint"),
         ((-0.52, 0, 0.34), (-0.2, 0, 0.84), 0.05, "paint"),
         ((-0.06, 0, 0.3), (-0.2, 0, 0.92), 0.06, "paint"),
         ((-0.06, 0, 0.3), (0.36, 0, 0.84), 0.06, "paint"),
         ((-0.17, 0, 0.8), (0.36, 0, 0.88), 0.06, "paint"),
         ((0.54, 0, 0.34), (0.36, 0, 1.02), 0.06, "paint"),
         ((0.38, -0.28, 1.04), (0.38, 0.28, 1.04), 0.05, "dark"),
         ((-0.3, 0, 0.95), (-0.12, 0, 0.95), 0.1, "dark"),
         ((-0.5, 0, 0.72), (-0.5, 0, 0.72), 0.07, "tail")),
        {"hip": (-0.2, 0.1, 1.0), "knee": (0.16, 0.1, 0.72), "foot": (0.02, 0.11, 0.3),
         "shoulder": (0.1, 0.19, 1.46), "elbow": (0.22, 0.26, 1.22),
         "hand": (0.38, 0.26, 1.06), "neck": (0.13, 0, 1.5), "seat": (-0.2, 0, 1.0),
         "head": (0.19, 0, 1.68), "crown": (0.16, 0, 1.75), "bag": (-0.12, 0, 1.3)},
    ),
    "motorcycle": _Machine(
        (-0.68, 0.72), 0.31, 0.13,
        (((-0.68, 0, 0.31), (0.0, 0, 0.42), 0.14, "dark"),
         ((-0.12, 0, 0.4), (0.22, 0, 0.42), 0.36, "engine"),
         ((0.72, 0, 0.31), (0.46, 0, 0.98), 0.13, "engine"),
         ((0.0, 0, 0.8), (0.4, 0, 0.86), 0.3, "paint"),
         ((-0.72, 0, 0.82), (-0.1, 0, 0.78), 0.22, "dark"),
         ((-0.8, 0, 0.62), (-0.6, 0, 0.78), 0.18, "paint"),
         ((0.5, 0, 0.75), (0.48, 0, 1.06), 0.3, "paint"),
         ((0.42, -0.36, 1.06), (0.42, 0.36, 1.06), 0.06, "dark"),
         ((0.42, -0.34, 1.2), (0.42, -0.34, 1.2), 0.12, "dark"),
         ((0.42, 0.34, 1.2), (0.42, 0.34, 1.2), 0.12, "dark"),
         ((0.62, 0, 0.88), (0.62, 0, 0.88), 0.18, "lamp"),
         ((-0.84, 0, 0.74), (-0.84, 0, 0.74), 0.12, "tail")),
        {"hip": (-0.22, 0.14, 0.88), "knee": (0.16, 0.22, 0.72),
         "foot": (-0.1, 0.22, 0.3), "shoulder": (-0.02, 0.21, 1.36),
         "elbow": (0.16, 0.32, 1.14),
         "hand": (0.42, 0.32, 1.08), "neck": (0.0, 0, 1.42), "seat": (-0.22, 0, 0.9),
         "head": (0.06, 0, 1.6), "crown": (0.05, 0, 1.63), "bag": (-0.24, 0, 1.2)},
    ),
}  # fmt: skip


def draw_person(view: View, item: Item) -> None:
    """Draw somebody who stands or walks."""
    rng = view.rng
    step = rng.uniform(-0.2, 0.2)
    joints = {}
    for side, name in ((-1, "-"), (1, "+")):
        swing = side * step
        lift = rng.uniform(0.0, 0.2)  # of the hand
        joints |= {
            "hip" + name: (0, 0.055 * side, 0.5),
            "knee" + name: (0.5 * swing + 0.02, 0.05 * side, 0.27),
            "foot" + name: (swing, 0.05 * side, 0.03),
            "toe" + name: (swing + 0.08, 0.055 * side, 0.02),
            "shoulder" + name: (0, 0.1 * side, 0.79),
            "elbow" + name: (-0.3 * swing, 0.14 * side, 0.62),
            "hand" + name: (-0.7 * swing + lift, 0.14 * side, 0.47 + lift),
        }
    joints |= {"neck": (0, 0, 0.82), "seat": (0, 0, 0.54), "head": (0.01, 0, 0.92),
               "crown": (0, 0, 0.955), "bag": (-0.12, 0, 0.68)}  # fmt: skip
    points = {name: item.height * np.array(at) for name, at in joints.items()}
    _draw_figure(view, item, points, item.height / 1.75, TRAIN_ID["person"])


def draw_two_wheeler(view: View, item: Item) -> None:
    """Draw a machine, and a rider if any; `item.kind` is (name, ridden)."""
    name, ridden = item.kind
    machine = _MACHINES[name]
    label = TRAIN_ID[name]
    scale = view.camera.scale(item.z)
    paint = _clothing(view)
    colours = {"paint": paint["top"], "dark": np.full(3, 32.0),
               "lamp": np.full(3, 235.0), "tail": np.array([190, 28, 28]),
               "engine": np.full(3, 96.0)}  # fmt: skip
    turn = 2 * np.pi * np.arange(21) / 20
    for axle in machine.axles:
        rim = np.stack([axle + machine.radius * np.cos(turn), 0 * turn,
                        machine.radius * (1 + np.sin(turn))], axis=-1)  # fmt: skip
        pixels = view.camera.project(item.place(rim))
        # Annotators do not cut out the air between the spokes.
        view.canvas.fill_label(pixels, label)
        tyre = _lit(view, item, colours["dark"])
        view.canvas.stroke(pixels, tyre, label, max(2, machine.tyre * scale))
        if name == "motorcycle":
            view.canvas.fill(pixels[:-1] * 0.6 + pixels[:-1].mean(0) * 0.4, tyre, label)
        elif scale > 30:
            spokes = np.stack([pixels[:10], pixels[10:20]], axis=1)
            view.canvas.stroke(spokes, _lit(view, item, np.full(3, 120.0)), label, 1)
    for start, stop, width, colour in machine.frame:
        pixels = view.camera.project(item.place(np.array([start, stop], float)))
        view.canvas.stroke(
            pixels, _lit(view, item, colours[colour]), label, max(2, width * scale)
        )
    if ridden:
        joints = {}
        pedal = view.rng.uniform(-0.13, 0.13) if name == "bicycle" else 0.0
        for joint, (along, across, up) in machine.rider.items():
            for side, suffix in ((-1, "-"), (1, "+")) if across else ((0, ""),):
                rise = side * pedal if joint in ("knee", "foot") else 0.0
                joints[joint + suffix] = np.array([along, side * across, up + rise])
        for suffix in "-+":
            joints["toe" + suffix] = joints["foot" + suffix] + (0.14, 0, -0.02)
        _draw_figure(view, item, joints, 1.0, TRAIN_ID["rider"])


def _draw_figure(view: View, item: Item, joints: dict, size: float, label: int) -> None:
    """Draw a body between its joints, the far limbs first."""
    rng = view.rng
    parts = list(_FIGURE)
    if rng.random() < 0.25 and label == TRAIN_ID["person"]:
        parts[2:2] = _COAT
    if rng.random() < 0.3:
        parts += _BAG
    pixels = view.camera.project(item.place(np.array(list(joints.values()), float)))
    at = dict(zip(joints, pixels, strict=True))
    sides = "-+" if np.sin(item.heading) > 0 else "+-"  # The far limb comes first.
    clothing = _clothing(view)
    lit = _lit(view, item, list(clothing.values()))
    colours = dict(zip(clothing, lit, strict=True))
    scale = view.camera.scale(item.z) * size
    for start, stop, width, colour in parts:
        paired = start.endswith("+") and stop.endswith("+")
        for side in sides if paired else "+":
            ends = [name[:-1] + side if paired else name for name in (start, stop)]
            line = np.stack([at[ends[0]], at[ends[1]]])
            view.canvas.stroke(line, colours[colour], label, max(2, width * scale))


def _clothing(view: View) -> dict[str, np.ndarray]:
    """Draw what somebody wears: any colour, dark ones more often."""
    rng = view.rng

    def cloth():
        if rng.random() < 0.5:
            return rng.uniform(20, 120) * rng.uniform(0.85, 1.15, 3)
        return rng.uniform(20, 230, 3)

    top = cloth()
    skin = rng.uniform(0.35, 1.0) * np.array([226, 178, 148])
    return {
        "top": top,
        "sleeve": skin if rng.random() < 0.2 else top * 0.88,
        "trousers": cloth(),
        "shoes": cloth() * 0.7,
        "bag": cloth(),
        "skin": skin,
        "hair": rng.uniform(18, 150) * np.array([1.0, 0.85, 0.7]),
    }


def _lit(view: View, item: Item, rgb) -> np.ndarray:
    """Light a colour as that of something upright at the item's distance."""
    return view.light.shade_upright(rgb, item.z)
