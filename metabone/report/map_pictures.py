"""Films, and beside each where its answer comes from, as pictures in files of their own."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

# Blue and orange are told apart by nearly everyone, and both from the grey of a film.
_LOWERS, _RAISES = (0x2E, 0x9B, 0xFF), (0xFF, 0x7A, 0x00)
_MOST_OPAQUE = 0.75
_MID_GREY = 0.35
_PANEL, _BAR, _DOTS = 2.9, 0.75, 110  # inches, inches, dots an inch
_SETTINGS = {"font.size": 9, "axes.titlesize": 9, "svg.fonttype": "none"}


def write_map_pictures(
    folder: str | os.PathLike[str],
    films: np.ndarray,
    maps: Mapping[str, np.ndarray],
    captions: Sequence[str],
    *,
    unit: str = "months",
) -> list[dict[str, str]]:
    """Writes one PNG a film: the film, and beside it once more under each of its maps.

    What raises the answer is orange, what lowers it blue, the more opaque the more it does. Each
    map has a scale of its own, as far down as up, to its own strongest place. A film's greys are
    spread, from its 1st to its 99th percentile, so that dark films are seen.

    Args:
      folder: is made where it is not there.
      films: `[k, H, W]` uint8.
      maps: heading to `[k, H, W]` float, finite, in `unit`.
      captions: what to say below each picture.
      unit: of the scale beside a map.

    Returns:
      For each film `"file"`, its name within `folder`, and `"caption"`.

    Raises:
      ValueError: films, maps or captions of other shapes or numbers, or a map that is not finite.
    """
    films = np.asarray(films)
    if films.dtype != np.uint8 or films.ndim != 3 or len(captions) != len(films):
        raise ValueError(
            f"films {films.dtype} {films.shape} and {len(captions)} captions: expected uint8 "
            "[k, H, W] and k"
        )
    for heading, own in maps.items():
        if np.shape(own) != films.shape or not np.isfinite(own).all():
            raise ValueError(f"maps {heading!r}: expected finite values of shape {films.shape}")
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for index, (film, caption) in enumerate(zip(films, captions, strict=True)):
        name = f"map_{index + 1}.png"
        own = {heading: np.asarray(each[index], np.float64) for heading, each in maps.items()}
        _draw(folder / name, film, own, unit)
        written.append({"file": name, "caption": caption})
    return written


def _draw(path: Path, film: np.ndarray, maps: Mapping[str, np.ndarray], unit: str) -> None:
    height, width = film.shape
    darkest, brightest = np.percentile(film, (1, 99))
    if darkest == brightest:
        darkest, brightest = 0, 255
    tall = _PANEL * height / width
    size = (_PANEL * (1 + len(maps)) + _BAR * len(maps), tall + 0.35)
    with matplotlib.rc_context(_SETTINGS):
        picture = Figure(figsize=size, layout="constrained", dpi=_DOTS)
        FigureCanvasAgg(picture)
        panels = picture.subplots(1, 1 + len(maps), squeeze=False)[0]
        for axes in panels:
            axes.imshow(film, cmap="gray", vmin=darkest, vmax=brightest)
            axes.set_axis_off()
        panels[0].set_title("film")
        for axes, (heading, strength) in zip(panels[1:], maps.items(), strict=True):
            # A map that is zero everywhere has no scale of its own.
            limit = float(np.abs(strength).max()) or 1.0
            axes.imshow(overlay(strength / limit), interpolation="bilinear")
            axes.set_title(heading)
            scale = ScalarMappable(Normalize(-limit, limit), _colours())
            bar = picture.colorbar(scale, ax=axes, fraction=0.06, pad=0.02)
            bar.set_ticks([-limit, 0, limit], labels=[f"{-limit:.2g}", "0", f"+{limit:.2g}"])
            bar.set_label(unit)
        picture.savefig(path, format="png", metadata={"Software": None})


def overlay(strength: np.ndarray) -> np.ndarray:
    """A signed map as colours to lay over a film: clear at 0, orange above, blue below.

    Args:
      strength: `[H, W]` float within -1 and 1.

    Returns:
      `[H, W, 4]` float32 red, green, blue and opacity, in 0..1.
    """
    pixels = np.empty((*strength.shape, 4), np.float32)
    colours = np.where(strength[..., None] >= 0, _RAISES, _LOWERS)
    pixels[..., :3] = colours / 255
    pixels[..., 3] = _MOST_OPAQUE * np.clip(np.abs(strength), 0, 1)
    return pixels


def _colours() -> ListedColormap:
    """The overlay's colours as they look on a film of a middling grey."""
    pixels = overlay(np.linspace(-1, 1, 255)[None])[0]
    opacity = pixels[:, 3:]
    return ListedColormap(opacity * pixels[:, :3] + (1 - opacity) * _MID_GREY)
