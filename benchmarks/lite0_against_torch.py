"""EfficientNet-Lite0 with its published weights: the answers and the time of its PyTorch original.

    python -m benchmarks.lite0_against_torch --weights=FILE.safetensors --images=val.zip

The weights are a file with the names of the package `efficientnet_lite_pytorch`, which is the
original; the images an archive with one folder a class, such as mini-ImageNet's validation part.
Both look at the same prepared images, and the original also at images prepared by Pillow as its
package tells. Prints on how many images the top answers are the same, and the purity of our
answers: the share of the commonest answer of each class, and their mean. The exit status is 1 if an
answer differs on the same prepared images.

    python -m benchmarks.lite0_against_torch --weights=FILE.safetensors --seconds

Times the features of 1,000 images of 224x224 pixels instead, from uint8, in turns of 50 images.
PyTorch takes the batch size and the memory format that are fastest here. Prints seconds by 1,000
images of each, and their ratios: of the clock and of the process's time on all cores, which other
processes on the machine lengthen less. Set the cores by `taskset`.

`pip install -r benchmarks/requirements.txt` first.
"""

import argparse
import io
import os
import statistics
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import jax
import numpy as np
import torch
from efficientnet_lite_pytorch import EfficientNet
from PIL import Image
from safetensors.torch import load_file

from benchmarks.drawn_weights import draw_images
from metabone.nets.frozen import feature_program, features
from metabone.nets.published_backbones import load_backbone

CROP, SIZE = 0.875, 224
TURN, ROUNDS = 50, 20


def original(weights: Path) -> EfficientNet:
    """The package's network with these weights, in evaluation mode."""
    network = EfficientNet.from_name("efficientnet-lite0")
    network.load_state_dict(load_file(weights))
    return network.eval()


def read_images(path: Path) -> tuple[list[Image.Image], list[str]]:
    """The images of an archive, and the folder that each lies in."""
    with zipfile.ZipFile(path) as archive:
        names = [n for n in archive.namelist() if n.lower().endswith((".jpg", ".jpeg", ".png"))]
        images = [Image.open(io.BytesIO(archive.read(n))).convert("RGB") for n in names]
    return images, [Path(n).parent.name for n in names]


def compare_answers(weights: Path, archive: Path) -> int:
    """Compares the top answers; returns how many differ on the same prepared images."""
    images, classes = read_images(archive)
    network = original(weights)
    loaded = load_backbone("efficientnet_lite0", weights, classifier=True, crop=CROP)
    prepare = jax.jit(loaded.prepare)
    apply = loaded.network.apply
    look = jax.jit(lambda params, stats, x: apply(params, stats, x, False)[0])
    ours, theirs, by_pillow, largest = [], [], [], 0.0
    for image in images:
        prepared = np.array(prepare(np.asarray(image)[None]))
        logits = np.asarray(look(loaded.params, loaded.norm_stats, prepared))
        whole = int(SIZE / CROP)
        edge = (whole - SIZE) // 2
        pillow = np.asarray(image.resize((whole, whole), Image.Resampling.BICUBIC))
        pillow = pillow[None, edge : edge + SIZE, edge : edge + SIZE] / np.float32(127.5) - 1
        with torch.inference_mode():
            expected, other = (
                network(torch.from_numpy(x).permute(0, 3, 1, 2).contiguous()).numpy()
                for x in (prepared, pillow)
            )
        largest = max(largest, float(np.abs(logits - expected).max()))
        ours.append(int(logits.argmax()))
        theirs.append(int(expected.argmax()))
        by_pillow.append(int(other.argmax()))
    same, alike = (sum(np.equal(ours, of)) for of in (theirs, by_pillow))
    print(
        f"{len(images)} images: the same top answer on {same}, on {alike} if the original's are "
        f"prepared by Pillow; largest difference of a logit {largest:.2g}"
    )
    shares = {}
    for name in sorted(set(classes)):
        answers = Counter(a for a, c in zip(ours, classes, strict=True) if c == name)
        (answer, count) = answers.most_common(1)[0]
        shares[name] = count / sum(answers.values())
        print(f"  {name}: {shares[name]:.2f} are answer {answer}")
    print(f"purity, the mean over {len(shares)} classes: {statistics.mean(shares.values()):.3f}")
    return len(images) - int(same)


def compare_seconds(weights: Path) -> None:
    """Prints seconds by 1,000 images, and their ratios; see the module."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    images = draw_images(TURN, SIZE)
    loaded = load_backbone("efficientnet_lite0", weights)
    program = feature_program(loaded.network, loaded.prepare)

    def ours():
        features(program, loaded.params, loaded.norm_stats, images, batch=TURN)

    variants = {}
    for name in ("contiguous_format", "channels_last"):
        memory = getattr(torch, name)
        network = original(weights).to(memory_format=memory)
        for batch in (1, 10, TURN):
            variants[name, batch] = _torch_turn(network, images, batch, memory)
    best = min(variants, key=lambda key: min(_seconds(variants[key])[1] for _ in range(3)))
    ours()
    turns = {"ours": [], "theirs": []}
    for _ in range(ROUNDS):
        turns["ours"].append(_seconds(ours))
        turns["theirs"].append(_seconds(variants[best]))
    print(
        f"{len(os.sched_getaffinity(0))} cores, {TURN * ROUNDS} images each in turns; PyTorch: "
        f"{best[0]}, batch {best[1]}"
    )
    for column, what in enumerate(("clock", "process")):
        for word, of in (("median", statistics.median), ("best turn", min)):
            each = ([turn[column] for turn in turns[who]] for who in turns)
            a, b = (of(seconds) * 1000 / TURN for seconds in each)
            print(
                f"  {what}, {word}: {a:.1f} s by 1,000 images, PyTorch {b:.1f} s, ratio {a / b:.2f}"
            )


def _torch_turn(network, images, batch, memory):
    def turn():
        with torch.inference_mode():
            for start in range(0, len(images), batch):
                part = torch.from_numpy(images[start : start + batch]).permute(0, 3, 1, 2)
                part = (part.to(torch.float32) / 127.5 - 1).contiguous(memory_format=memory)
                network.extract_features(part).mean((2, 3))

    return turn


def _seconds(turn) -> tuple[float, float]:
    clock, process = time.perf_counter(), time.process_time()
    turn()
    return time.perf_counter() - clock, time.process_time() - process


def main() -> int:
    """Runs either comparison; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", type=Path, required=True, metavar="FILE")
    parser.add_argument("--images", type=Path, metavar="ZIP")
    parser.add_argument("--seconds", action="store_true")
    flags = parser.parse_args()
    if flags.seconds == bool(flags.images):
        parser.error("give either --images or --seconds")
    if flags.seconds:
        compare_seconds(flags.weights)
        return 0
    return 1 if compare_answers(flags.weights, flags.images) else 0


if __name__ == "__main__":
    sys.exit(main())
