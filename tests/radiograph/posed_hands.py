"""Films and points of known geometry, without a renderer."""

import numpy as np

# Hand lengths from the wrist, thumb's side positive, fingers up.
_UPRIGHT = np.array(
    [
        *([0.0, 0.0], [0.18, 0.13], [0.3, 0.32], [0.36, 0.46], [0.42, 0.56]),
        *([0.15, 0.5], [0.18, 0.71], [0.19, 0.83], [0.2, 0.92]),
        *([0.03, 0.52], [0.03, 0.76], [0.03, 0.9], [0.03, 0.995]),
        *([-0.07, 0.47], [-0.1, 0.69], [-0.12, 0.82], [-0.13, 0.92]),
        *([-0.17, 0.41], [-0.23, 0.57], [-0.26, 0.66], [-0.29, 0.75]),
    ]
)


def left_hand(length=200.0, wrist=(150.0, 260.0), degrees=0.0):
    """Key points `[21, 2]` of a left hand, turned by `degrees` against the clock on the film."""
    turn = np.deg2rad(degrees)
    x, y = length * _UPRIGHT.T
    return np.stack(
        [
            wrist[0] + x * np.cos(turn) - y * np.sin(turn),
            wrist[1] - x * np.sin(turn) - y * np.cos(turn),
        ],
        axis=1,
    )


def drawn_hand(points, size=(320, 300), seed=0, noise=30):
    """A film `[H, W]` uint8: bright bones between the points, flesh around, noise in the air."""
    y, x = np.mgrid[: size[0], : size[1]].astype(float)
    near = np.full(size, np.inf)
    bones = [(0, 1), (0, 5), (0, 9), (0, 13), (0, 17)]
    bones += [(d + k, d + k + 1) for d in (1, 5, 9, 13, 17) for k in range(3)]
    for start, end in bones:
        axis = points[end] - points[start]
        px, py = x - points[start][0], y - points[start][1]
        along = np.clip((px * axis[0] + py * axis[1]) / (axis @ axis), 0, 1)
        near = np.minimum(near, np.hypot(px - along * axis[0], py - along * axis[1]))
    grain = np.random.default_rng(seed).uniform(0, noise, size)
    return (20 + grain + 60 * (near < 7) + 100 * (near < 3.5)).astype(np.uint8)
