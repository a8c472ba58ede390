"""Small pictures as addresses of themselves, for a page that needs no other file."""

import base64
import io

import numpy as np
from PIL import Image

# The colour of what mattered, on grey films: seen by day, by night and in print.
_HEAT = (255, 122, 0)
_MOST_OPAQUE = 175
_HEAT_SIDE = 64


def jpeg_uri(image: np.ndarray, side: int, quality: int = 82) -> str:
    """An image as a JPEG no larger than a square, as the address of itself.

    Args:
      image: [H, W] or [H, W, 3] uint8.
      side: longest side in pixels; a smaller image keeps its size.
      quality: as Pillow counts it.

    Returns:
      A `data:image/jpeg` address.

    Raises:
      ValueError: it is no such image.
    """
    if image.dtype != np.uint8 or not (image.ndim == 2 or image.shape[2:] == (3,)):
        raise ValueError(f"image {image.dtype} {image.shape}, expected uint8 [H, W] or [H, W, 3]")
    picture = Image.fromarray(image)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return _uri(picture, "jpeg", quality=quality)


def heat_uri(strength: np.ndarray) -> str:
    """A map to lay over an image: clear at 0 and below, warm and nearly opaque at 1; smooth.

    Args:
      strength: [h, w] float, at most 1.

    Returns:
      A `data:image/png` address.
    """
    opacity = np.rint(_MOST_OPAQUE * np.clip(np.nan_to_num(strength), 0.0, 1.0)).astype(np.uint8)
    # Smooth already in the file: browsers draw squares where they print.
    smooth = Image.fromarray(opacity).resize((_HEAT_SIDE, _HEAT_SIDE), Image.Resampling.BILINEAR)
    pixels = np.empty((_HEAT_SIDE, _HEAT_SIDE, 4), np.uint8)
    pixels[..., :3] = _HEAT
    pixels[..., 3] = np.asarray(smooth)
    return _uri(Image.fromarray(pixels), "png", optimize=True)


def overlay_uri(pixels: np.ndarray) -> str:
    """Colours to lay over an image, such as those of `map_pictures.overlay`.

    Args:
      pixels: [h, w, 4] float, red, green, blue and opacity, in 0..1.

    Returns:
      A `data:image/png` address.
    """
    return _uri(Image.fromarray(np.rint(255 * pixels).astype(np.uint8)), "png", optimize=True)


def _uri(picture: Image.Image, kind: str, **options: int) -> str:
    stream = io.BytesIO()
    picture.save(stream, format=kind, **options)
    return f"data:image/{kind};base64,{base64.b64encode(stream.getvalue()).decode('ascii')}"
