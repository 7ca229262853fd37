"""Digits as a person draws them: strokes of points in shares of the drawing surface, at different sizes and places."""

import math

Stroke = list[tuple[float, float]]


def arc(x: float, y: float, rx: float, ry: float, start: float, end: float) -> Stroke:
    """Return points of an ellipse around (x, y); degrees, clockwise from the right."""
    steps = 24
    angles = (math.radians(start + (end - start) * i / steps) for i in range(steps + 1))
    return [(x + rx * math.cos(a), y + ry * math.sin(a)) for a in angles]


DIGITS: dict[int, list[Stroke]] = {
    0: [arc(0.5, 0.5, 0.2, 0.32, -90, 270)],
    1: [[(0.56, 0.14), (0.48, 0.86)]],
    2: [[*arc(0.48, 0.34, 0.19, 0.18, 190, 390), (0.3, 0.82), (0.72, 0.82)]],
    3: [[*arc(0.46, 0.32, 0.18, 0.17, 200, 440), *arc(0.46, 0.66, 0.21, 0.18, -80, 160)]],
    4: [[(0.34, 0.2), (0.28, 0.52), (0.7, 0.52)], [(0.64, 0.18), (0.6, 0.86)]],
    5: [[(0.36, 0.18), (0.33, 0.46), *arc(0.46, 0.64, 0.2, 0.2, -110, 140)], [(0.36, 0.18), (0.68, 0.17)]],
    6: [[(0.58, 0.14), (0.4, 0.36), (0.33, 0.6), *arc(0.48, 0.66, 0.16, 0.17, 180, -180)]],
    7: [[(0.28, 0.2), (0.72, 0.2), (0.46, 0.86)]],
    8: [[*arc(0.5, 0.33, 0.14, 0.16, 90, -270), *arc(0.5, 0.67, 0.17, 0.18, -90, 270)]],
    9: [[*arc(0.48, 0.36, 0.16, 0.17, 0, -360), (0.63, 0.42), (0.58, 0.86)]],
}


def moved(strokes: list[Stroke], scale: float, dx: float, dy: float) -> list[Stroke]:
    """Return strokes at another size and place."""
    return [[(x * scale + dx, y * scale + dy) for x, y in stroke] for stroke in strokes]
