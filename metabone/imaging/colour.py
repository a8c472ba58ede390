"""Pictures in three channels that are grey in truth, or are taken for it."""

import numpy as np

from metabone.imaging.film import Refused

TOLERANCE = 8
"""Of 255 between channels: what lossy compression of greys leaves, and less than a tint."""

LUMA = "RGB to grey by ITU-R 601-2 luma"
"""How colours become grey, in words."""

# ITU-R 601-2, as Pillow rounds it.
_LUMA = np.array([19595, 38470, 7471], np.uint32)


def grey_of_colours(
    samples: np.ndarray, *, ybr: bool = False, luma: bool = False
) -> tuple[np.ndarray, tuple[int, int], list[str]]:
    """Takes the grey of a picture whose three channels say the same.

    Args:
      samples: `[height, width, 3]` uint8: red, green and blue, or brightness and two differences.
      ybr: whether they are the latter (PS3.3 C.7.6.3.1.2, YBR_FULL).
      luma: whether channels may differ.

    Returns:
      `[height, width]` uint16 of 0..65535; least and greatest grey of 0..255; what was done.

    Raises:
      Refused: the channels differ by more than `TOLERANCE` somewhere, and may not.
    """
    most = 0
    pixels = np.empty(samples.shape[:2], np.uint16)
    # A strip at a time, since every step here costs several times the picture.
    rows = max(1, 1_000_000 // samples.shape[1])
    for top in range(0, len(samples), rows):
        strip = samples[top : top + rows]
        if ybr:
            difference = int(np.abs(strip[..., 1:].astype(np.int16) - 128).max())
            grey = strip[..., 0].astype(np.uint16)
        else:
            difference = int((strip.max(axis=-1) - strip.min(axis=-1)).max())
            weighed = (strip.astype(np.uint32) * _LUMA).sum(axis=-1, dtype=np.uint32)
            grey = (weighed + 0x8000) >> 16
        most = max(most, difference)
        if difference > TOLERANCE and not luma:
            raise Refused(
                f"in colours: its channels differ by {difference} of 255; save it in grey if a "
                "film is what it shows"
            )
        pixels[top : top + rows] = grey * 257
    stored = int(pixels.min()) // 257, int(pixels.max()) // 257
    done = LUMA if most > TOLERANCE else "three equal channels to one grey"
    return pixels, stored, [done]
