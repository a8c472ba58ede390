"""Features of a frozen backbone, kept on disk: no image passes through it twice."""

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import numpy as np

from metabone.errors import InputError
from metabone.nets.frozen import feature_program, features
from metabone.nets.network import Network, NormStats, Params
from metabone.stored_arrays import load_arrays, save_arrays

_SHARD = 4096  # Images that a kill can cost.


def weights_sha256(params: Params, norm_stats: NormStats, *what: str) -> str:
    """Hashes a backbone: names, shapes and values of its weights, and what else decides.

    Args:
      params: any pytree of arrays.
      norm_stats: likewise.
      *what: names of what the weights do not tell, such as the preprocessing.

    Returns:
      SHA-256 in hex.
    """
    digest = hashlib.sha256(repr(what).encode())
    for path, leaf in jax.tree_util.tree_leaves_with_path((params, norm_stats)):
        array = np.ascontiguousarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {array.dtype} {array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


class FeatureStore:
    """Features by image fingerprint, in a folder that the weights' hash names.

    Args:
      root: folder of all feature stores; made when first written to.
      backbone: maps images to features.
      params: its parameters.
      norm_stats: its stored statistics.
      prepare: uint8 to float32, on the device.
      identity: see `weights_sha256`; other weights have another folder.
    """

    def __init__(
        self,
        root: str | os.PathLike,
        backbone: Network,
        params: Params,
        norm_stats: NormStats,
        prepare: Callable[[jax.Array], jax.Array],
        identity: str,
    ):
        self.folder = Path(root) / identity[:20]
        program = feature_program(backbone, prepare)
        self._compute = lambda images: features(program, params, norm_stats, images)

    def __call__(
        self,
        read: Callable[[np.ndarray], np.ndarray],
        fingerprints: Sequence[str],
        progress: Callable[[int], None] | None = None,
    ) -> np.ndarray:
        """Looks up the features of images, and computes and keeps those that are missing.

        Args:
          read: from positions to images `[n, H, W, C]` uint8; asked for missing ones alone.
          fingerprints: `N` hashes of the images as `read` gives them, see
            `datasets.fingerprints.image_fingerprints`.
          progress: called with the number of images computed, now and then.

        Returns:
          `[N, D]` float32: features, flattened.

        Raises:
          InputError: what is kept is damaged, or cannot be written.
        """
        known = self._load(set(fingerprints))
        first = {image: row for row, image in reversed(list(enumerate(fingerprints)))}
        missing = sorted(row for image, row in first.items() if image not in known)
        for start in range(0, len(missing), _SHARD):
            rows = np.asarray(missing[start : start + _SHARD])
            found = self._compute(read(rows))
            found = found.reshape(len(rows), -1)
            names = [fingerprints[row] for row in rows]
            self._save(names, found)
            known.update(zip(names, found, strict=True))
            if progress is not None:
                progress(len(rows))
        return np.stack([known[image] for image in fingerprints])

    def _load(self, wanted: set[str]) -> dict[str, np.ndarray]:
        known: dict[str, np.ndarray] = {}
        for shard in sorted(self.folder.glob("*.npz")):
            arrays = load_arrays(shard, ("fingerprints", "features"))
            names, found = arrays["fingerprints"], arrays["features"]
            plain = names.dtype.kind == "U" and found.dtype == np.float32 and found.ndim == 2
            if not plain or names.shape != found.shape[:1]:
                raise InputError(f"{shard}: damaged (no fingerprints and features); delete it")
            rows = zip(names.tolist(), found, strict=True)
            known.update((name, row) for name, row in rows if name in wanted)
        return known

    def _save(self, names: list[str], found: np.ndarray) -> None:
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:20]
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"{self.folder}: cannot be written ({error.strerror})") from None
        save_arrays(self.folder / f"{digest}.npz", fingerprints=np.asarray(names), features=found)
