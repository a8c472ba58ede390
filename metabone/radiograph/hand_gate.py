"""Whether a film shows a hand that can be read; a reason if not, rather than a guess."""

import numpy as np
from PIL import Image, ImageDraw
from scipy.spatial import ConvexHull

from metabone.radiograph.hand_views import border_level
from metabone.radiograph.landmarks import hand_length, is_right_hand, point_number, turned
from metabone.radiograph.region_sets import Region, region_squares

# The left hand that simulated hands vary around; units of hand length, middle finger's knuckle at
# the origin, x towards the thumb and y towards the fingers.
_SHAPE = np.array(
    [
        *([-0.036, -0.518], [0.162, -0.390], [0.264, -0.192], [0.350, -0.047], [0.402, 0.057]),
        *([0.119, 0.002], [0.141, 0.212], [0.157, 0.331], [0.169, 0.418]),
        *([0.0, 0.0], [0.0, 0.243], [0.0, 0.386], [0.0, 0.479]),
        *([-0.107, -0.054], [-0.127, 0.168], [-0.142, 0.306], [-0.152, 0.398]),
        *([-0.202, -0.111], [-0.257, 0.053], [-0.290, 0.145], [-0.319, 0.227]),
    ]
)

UNSURE_HAND = 0.12
"""Median uncertainty of the points, in hand lengths, above which there is no hand."""

UNSURE_POINT = 0.25
"""Uncertainty of the point in a region's middle, in hand lengths, above which it is not read.

Points that only tell a region's direction may be twice as unsure. On 460 annotated hands this
refuses all whose six joints are off by more than a tenth, and one in a hundred of the others."""

ODD_SHAPE = 0.12
"""Root mean squared distance from a hand's shape, in hand lengths, above which there is no hand."""

_LEAST_PIXELS = 48
# Of a region's field, how much may lie beyond the film.
_CUT_OFF = 0.25
# Of a finger that the film cuts off the network puts the tip at the edge; flesh beyond the bone
# keeps that of a whole one further away. In hand lengths.
_EDGE = 0.035
# A film that was cut and then given a border: how near an edge of what the border leaves a point
# must lie, how far in and to both sides is looked, in hand lengths; and the share of the contrast
# there that is left at the very edge. Flesh that ends by itself fades: at most 0.41 on 120 films.
_NEAR, _DEEP, _ASIDE, _LEFT = 0.06, 0.12, 0.06, 0.43
# How far beyond its points a hand is painted over, in hand lengths.
_FLESH = 0.1


def shape_residual(points: np.ndarray) -> float:
    """How far points are from the shape of a hand, turned and scaled to fit best.

    Args:
      points: `[21, 2]` float `(x, y)` pixels, of a left or a right hand.

    Returns:
      Root mean squared distance in hand lengths.
    """
    points = np.asarray(points, np.float64)
    at = points[:, 0] - 1j * points[:, 1]
    at = -at.conj() if is_right_hand(points) else at
    meant = _SHAPE[:, 0] + 1j * _SHAPE[:, 1]
    at, meant = at - at.mean(), meant - meant.mean()
    # The similarity that takes the read points onto the meant ones.
    fit = (at.conj() @ meant) / max((at.conj() @ at).real, 1e-12)
    return float(np.sqrt(np.mean(np.abs(fit * at - meant) ** 2)))


def no_hand(points: np.ndarray, uncertainty: np.ndarray) -> str | None:
    """Says why what was read is no hand at all.

    Args:
      points: `[21, 2]` float `(x, y)` pixels.
      uncertainty: `[21]` float, hand lengths, as `hand_reading.read_key_points` gives it.

    Returns:
      The reason in a few words, or None for a hand.
    """
    median = float(np.median(uncertainty))
    if median > UNSURE_HAND:
        return f"no hand: its points are unsure by {100 * median:.0f} % of its length"
    odd = shape_residual(points)
    if odd > ODD_SHAPE:
        return f"no hand: its points are off the shape of one by {100 * odd:.0f} % of its length"
    return None


def without_hand(film: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Paints a hand over with the gray of the film's border, so that another one can be looked for.

    Args:
      film: `[H, W]`.
      points: `[21, 2]` float `(x, y)` pixels of it.

    Returns:
      A copy.
    """
    outline = np.asarray(points, np.float64)[ConvexHull(points).vertices]
    outward = outline - np.mean(points, axis=0)
    outward /= np.maximum(np.linalg.norm(outward, axis=1, keepdims=True), 1e-6)
    outline = outline + _FLESH * float(hand_length(points)) * outward
    hand = Image.new("1", film.shape[::-1])
    ImageDraw.Draw(hand).polygon([tuple(corner) for corner in outline], fill=1)
    return np.where(np.asarray(hand), np.asarray(border_level(film), film.dtype), film)


def cut_within(film: np.ndarray, points: np.ndarray, regions: tuple[Region, ...]) -> str | None:
    """Says where a film was cut through a hand before an even border was put around it.

    Args:
      film: `[H, W]` without its even border.
      points: `[21, 2]` float `(x, y)` pixels of it.
      regions: which must be seen.

    Returns:
      The reason in a few words, or None.
    """
    points = np.asarray(points, np.float64)
    length = float(hand_length(points))
    deep, wide, thin = _DEEP * length, _ASIDE * length, 1 + int(0.003 * length)
    for quarters in range(4):
        upright = np.rot90(film, quarters)
        at = turned(points, quarters, film.shape)
        for region in regions:
            for x, y in at[[point_number(name) for name in region.points]]:
                left = max(0, int(x - wide))
                strip = upright[: int(deep) + 1, left : max(left, int(x + wide)) + 1]
                if y >= _NEAR * length or not strip.size:
                    continue
                strip = strip.astype(np.float32)
                if np.ptp(strip[:thin].mean(axis=0)) > _LEFT * np.ptp(strip):
                    return f"cut off at {region.name}"
    return None


def check_hand(
    points: np.ndarray,
    uncertainty: np.ndarray,
    size: tuple[int, int],
    regions: tuple[Region, ...] = (),
) -> str | None:
    """Says why a film is not to be read.

    Args:
      points: `[21, 2]` float `(x, y)` pixels of the film as it came, its border not cropped.
      uncertainty: `[21]` float, hand lengths, as `hand_reading.read_key_points` gives it.
      size: `(height, width)` of the film.
      regions: which must be seen; points of others may be unsure.

    Returns:
      The reason in a few words, or None for a hand that can be read.
    """
    points, uncertainty = np.asarray(points), np.asarray(uncertainty)
    length = float(hand_length(points))
    if reason := no_hand(points, uncertainty):
        return reason
    if length < _LEAST_PIXELS:
        return f"the hand is {length:.0f} pixels long; expected at least {_LEAST_PIXELS}"
    height, width = size
    for region, square in zip(regions, region_squares(points, regions), strict=True):
        x, y = square.centre
        beyond = max(-x, x - (width - 1), -y, y - (height - 1)) / square.side + 0.5
        needed = points[[point_number(name) for name in region.points]]
        within = np.minimum(needed, np.array([width - 1, height - 1]) - needed).min()
        if beyond > _CUT_OFF or within < _EDGE * length:
            return f"cut off at {region.name}"
    centres = {name for region in regions for name in region.centre}
    for name in dict.fromkeys(name for region in regions for name in region.points):
        unsure = float(uncertainty[point_number(name)])
        if unsure > UNSURE_POINT * (1 if name in centres else 2):
            return f"unsure where {name} is, by {100 * unsure:.0f} % of the hand's length"
    return None
