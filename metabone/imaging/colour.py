"""Pictures in three channels that are grey in truth."""

import numpy as np

from metabone.imaging.film import Refused

TOLERANCE = 8
"""Of 255 between channels: what lossy compression of a grey picture leaves, and less than a tint."""

# ITU-R 601-2, as Pillow rounds it.
_LUMA = np.array([19595, 38470, 7471], np.uint32)


def grey_of_rgb(colours: np.ndarray) -> tuple[np.ndarray, tuple[int, int], list[str]]:
    """Takes the grey of a picture whose three channels say the same.

    Args:
      colours: `[height, width, 3]` uint8, red, green and blue.

    Returns:
      `[height, width]` uint16 of 0..65535; least and greatest grey of 0..255; what was done.

    Raises:
      Refused: the channels differ by more than `TOLERANCE` somewhere.
    """
    pixels = np.empty(colours.shape[:2], np.uint16)
    rows = max(1, 1_000_000 // colours.shape[1])
    for top in range(0, len(colours), rows):
        strip = colours[top : top + rows]
        difference = int((strip.max(axis=-1) - strip.min(axis=-1)).max())
        if difference > TOLERANCE:
            raise Refused(
                f"in colours: its channels differ by {difference} of 255; save it in grey if a "
                "film is what it shows"
            )
        luma = (strip.astype(np.uint32) * _LUMA).sum(axis=-1, dtype=np.uint32)
        pixels[top : top + rows] = ((luma + 0x8000) >> 16) * 257
    stored = int(pixels.min()) // 257, int(pixels.max()) // 257
    return pixels, stored, ["three equal channels to one grey"]
