"""Which pixels a polygon fills."""

import numpy as np
import pytest

from keras_frm.data.annotations.shapes import Polygon, ellipse


def test_a_pixel_is_inside_where_its_centre_is():
    mask = np.zeros((4, 6), np.uint8)
    corners = np.array([[0.5, 0.6], [4.5, 0.6], [4.5, 2.4], [0.5, 2.4]])
    assert Polygon("car", (corners,)).fill(mask, 1) == 4
    assert np.argwhere(mask).tolist() == [[1, 0], [1, 1], [1, 2], [1, 3]]


def test_filling_agrees_with_the_centre_of_each_pixel():
    random = np.random.default_rng(0)
    x, y = np.meshgrid(np.arange(40) + 0.5, np.arange(30) + 0.5)
    for _ in range(20):
        corners = random.uniform(-8, 45, (7, 2))  # crosses itself and the border
        mask = np.zeros((30, 40), np.uint8)
        Polygon("car", (corners,)).fill(mask, 1)
        inside = np.zeros((30, 40), bool)
        for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, 0), strict=True):
            crossed = (ay <= y) != (by <= y)
            inside ^= crossed & (x >= ax + (y - ay) * (bx - ax) / (by - ay))
        np.testing.assert_array_equal(mask, inside)


def test_neighbours_share_no_pixel_and_leave_none():
    top = np.array([[0, 0], [40, 0], [40, 11.3], [0, 17.7]])
    bottom = np.array([[0, 17.7], [40, 11.3], [40, 30], [0, 30]])
    mask = np.zeros((30, 40), np.uint8)
    counts = [
        Polygon("car", (r,)).fill(mask, n) for n, r in enumerate((top, bottom), 1)
    ]
    assert sum(counts) == mask.size
    assert mask.all()


def test_bands_change_nothing(monkeypatch):
    corners = np.random.default_rng(1).uniform(-5, 45, (9, 2))
    masks = []
    for band in (1 << 22, 1):
        monkeypatch.setattr("keras_frm.data.annotations.shapes._BAND", band)
        masks.append(np.zeros((30, 40), np.uint8))
        Polygon("car", (corners,)).fill(masks[-1], 1)
    np.testing.assert_array_equal(*masks)


def test_an_ellipse_has_its_area_and_turns_clockwise():
    mask = np.zeros((100, 100), np.uint8)
    count = Polygon("car", (ellipse((50, 50), (40, 10), 90),)).fill(mask, 1)
    assert count == pytest.approx(np.pi * 400, rel=0.01)
    assert mask[12, 50]
    assert not mask[50, 12]
    mask[:] = 0
    Polygon("car", (ellipse((50, 50), (40, 4), 45),)).fill(mask, 1)
    assert mask[70, 70]  # down and to the right
    assert not mask[70, 30]
