"""Sizes and places of the hand's bones and soft tissue, as tables."""

import numpy as np

# Hand frame: millimetres of an adult, origin in the carpus (capitate), x towards the thumb, y
# towards the fingertips. Digits run from thumb to little finger; segments are metacarpal,
# proximal, middle and distal phalanx, and the thumb's middle phalanx is a hole in every table.
# Lengths: Buryanov and Kotiuk 2010, Int. J. Morphol. 28(3).
LENGTHS = np.array(
    [
        [46.2, 31.6, 0.0, 21.7],
        [68.1, 39.8, 22.4, 15.8],
        [64.6, 44.6, 26.3, 17.4],
        [58.0, 41.4, 25.7, 17.3],
        [53.7, 32.7, 18.1, 16.0],
    ],
    np.float32,
)
CARPOMETACARPAL = np.array(
    [[19.5, 1.0], [9.5, 14.5], [0.5, 16.0], [-8.0, 14.0], [-15.0, 10.5]], np.float32
)
METACARPAL_DEGREES = np.array([44.0, 9.0, 1.0, -8.0, -17.0], np.float32)
FINGER_DEGREES = np.array([46.0, 8.0, 1.0, -7.0, -18.0], np.float32)
SPREAD_DEGREES = np.array([6.0, 7.0, 1.0, -5.0, -12.0], np.float32)

# Half widths at the growth plate, the waist and the other end.
HALF_WIDTHS = np.array(
    [
        [[7.6, 5.0, 7.2], [7.4, 4.2, 6.2], [1.0, 1.0, 1.0], [6.8, 3.2, 4.4]],
        [[7.2, 4.2, 7.4], [7.3, 4.1, 5.6], [6.0, 3.8, 4.8], [5.0, 2.3, 3.6]],
        [[7.3, 4.3, 7.2], [7.6, 4.3, 5.9], [6.4, 4.1, 5.1], [5.2, 2.4, 3.8]],
        [[6.7, 3.8, 6.0], [7.1, 4.0, 5.6], [6.0, 3.8, 4.9], [5.1, 2.3, 3.7]],
        [[6.3, 3.7, 6.0], [6.3, 3.7, 4.8], [5.0, 3.0, 4.1], [4.4, 1.9, 3.2]],
    ],
    np.float32,
)
_SOFT_RADII = np.array(
    [
        [14.5, 11.0, 9.6, 9.2, 7.4],
        [13.5, 11.0, 9.0, 7.7, 6.4],
        [13.5, 11.0, 9.2, 7.9, 6.6],
        [13.5, 10.5, 8.9, 7.6, 6.4],
        [13.5, 10.0, 8.0, 7.0, 5.8],
    ],
    np.float32,
)

BONES = 21
"""Bones with a growth plate: 19 in digit order (thumb first, base to tip), radius, ulna."""

KEY_POINTS = 21
"""Wrist, then per digit from the thumb: its first joint, two more joints, and the bone's tip."""

SEGMENTS = np.array([0, 1, 3, *range(4, 20)])
IS_METACARPAL = np.append(SEGMENTS % 4 == 0, [False, False])
IS_DISTAL = np.append(SEGMENTS % 4 == 3, [False, False])
IS_FOREARM = np.arange(BONES) >= 19
# Only the finger metacarpals grow at the far end; the thumb's behaves like a phalanx.
GROWS_FAR = IS_METACARPAL & (np.arange(BONES) > 0)

REGION_BONES = np.array([2, 10, 14, 8, 12, 1])
"""Which bone's growth plate each of the six regions looks at; order of `REGION_NAMES`."""

# Carpals and the thumb's sesamoid: x, y, half axes, degrees, maturity at which ossification starts
# and how long it takes. Capitate and hamate are there from the beginning.
NUCLEI = np.array(
    [
        [0.8, 1.8, 6.0, 10.6, 5, -0.6, 0.7],
        [-9.2, 1.8, 6.0, 8.4, -10, -0.5, 0.7],
        [-14.4, -7.2, 5.6, 4.8, 30, -0.3, 0.7],
        [-4.6, -11.0, 6.8, 5.6, 15, -0.2, 0.65],
        [8.4, -7.6, 5.6, 9.0, -38, -0.08, 0.6],
        [15.2, 1.0, 6.0, 5.4, -30, -0.10, 0.6],
        [8.9, 7.2, 4.9, 5.2, 0, -0.12, 0.6],
        [-15.6, -5.4, 3.6, 4.2, 0, 0.30, 0.4],
        [0.0, 0.0, 2.4, 1.9, 40, 0.30, 0.25],
    ],
    np.float32,
)


# Landmarks: first the joints, five a digit from its base to its tip, then points fixed in the
# hand's frame. Forearm bones leave the film; 150 mm is more than is ever on it.
FIXED = np.concatenate(
    [
        NUCLEI[:8, :2],
        [[5.5, -17.5], [3.5, -167.0], [-14.5, -19.5], [-9.5, -169.0]],
        [[0.0, 0.0], [-10.0, 2.0], [11.0, 2.0]],
        [[8.0, -16.0], [4.0, -167.0], [-12.0, -16.0], [-9.0, -167.0]],
    ]
).astype(np.float32)
AT_NUCLEI, _AT_ARM, _AT_WRIST, _AT_FLESH = 25, 33, 37, 40
_NEAR = SEGMENTS + SEGMENTS // 4
GROWING_END = np.append(np.where(GROWS_FAR[:19], _NEAR + 1, _NEAR), [_AT_ARM, _AT_ARM + 2])
OTHER_END = np.append(np.where(GROWS_FAR[:19], _NEAR, _NEAR + 1), [_AT_ARM + 1, _AT_ARM + 3])
# The thumb's joints without the hole where its middle phalanx would be; fingers' from the knuckle.
KEY_POINT_LANDMARKS = np.array(
    [_AT_WRIST, 0, 1, 2, 4, *(5 * digit + k for digit in (1, 2, 3, 4) for k in (1, 2, 3, 4))]
)
# Annotators see joints, not axes: theirs lie a little further along the next bone, whose ends are
# here, and the outer knuckles further out. By how much of that bone, along it and to the thumb's
# side; measured on real hands. The wrist is fixed elsewhere.
KEY_POINT_BONES = np.array(
    [[0, 1], *([d + min(k, 2), d + min(k, 2) + 1] for d in (1, 5, 9, 13, 17) for k in range(4))]
)
KEY_POINT_SHIFTS = np.array(
    [
        [0.0, 0.0],
        *([0.105, 0.035], [0.03, 0.0], [0.025, 0.0], [0.07, 0.0]),
        *([0.063, 0.04], [0.10, 0.0], [0.10, 0.0], [0.17, 0.0]),
        *([0.066, 0.01], [0.08, 0.0], [0.08, 0.0], [0.115, 0.0]),
        *([0.105, -0.04], [0.08, 0.0], [0.09, 0.0], [0.14, 0.0]),
        *([0.13, -0.07], [0.13, 0.0], [0.12, 0.0], [0.13, 0.0]),
    ],
    np.float32,
)
# Soft tissue: every segment, webs between neighbouring knuckles, thenar web, carpus, forearm. The
# thenar web runs between points inside the metacarpals, listed as ends of two segments.
_ALL = np.arange(20) + np.arange(20) // 4
FLESH_FROM = np.concatenate([_ALL, [6, 11, 16, 1, _AT_WRIST + 1, _AT_FLESH, _AT_FLESH + 2]])
FLESH_TO = np.concatenate([_ALL + 1, [11, 16, 21, 6, _AT_WRIST + 2, _AT_FLESH + 1, _AT_FLESH + 3]])
THENAR = 23
FLESH_RADII = np.concatenate(
    [
        np.stack([_SOFT_RADII[:, :-1], _SOFT_RADII[:, 1:]], axis=-1).reshape(20, 2),
        [[13.0, 13.0]] * 3,
        [[11.0, 13.0], [18.0, 17.0], [17.0, 21.0], [15.0, 19.0]],
    ]
).astype(np.float32)
