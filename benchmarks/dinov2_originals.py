"""PyTorch's DINOv2 for comparison: timm's networks, and these with the tokens of Meta's code.

    python -m benchmarks.dinov2_originals FILE.npz

writes tests/nets/dinov2_reference.npz: what networks of a third of ViT-S's channels make of two
small images that are not square, by weights that the tests draw again.
"""

import sys
from pathlib import Path

import numpy as np
import timm
import torch
from torch import nn
from torch.nn import functional

from benchmarks.drawn_weights import draw_images, draw_tensors

_TIMM_NAMES = {
    "dinov2_s14": "vit_small_patch14_dinov2",
    "dinov2_b14": "vit_base_patch14_dinov2",
    "dinov2_s14_reg": "vit_small_patch14_reg4_dinov2",
    "dinov2_b14_reg": "vit_base_patch14_reg4_dinov2",
}

ORIGINALS = tuple((name, origin) for name in _TIMM_NAMES for origin in ("timm", "Meta"))
"""Names of backbones, and whose tensors' names and rule for positions."""


def original(name: str, origin: str, classes: int, **changes: int) -> nn.Module:
    """Builds a network for images of any multiple of 14 pixels, with tensors named as its files'.

    Args:
      name: of `ORIGINALS`.
      origin: likewise.
      classes: of a linear classifier on the class token, named as timm does; 0 for none.
      **changes: arguments of timm's network.

    Returns:
      From `[n, 3, H, W]` to logits, or to the class token; its last normalisation is `norm`.
    """
    network = timm.create_model(
        _TIMM_NAMES[name], num_classes=classes, dynamic_img_size=True, **changes
    )
    return network if origin == "timm" else _MetaTokens(network)


class _MetaTokens(nn.Module):
    """Blocks of timm; tokens and their positions as in facebookresearch/dinov2."""

    def __init__(self, network: nn.Module):
        super().__init__()
        rows, channels = network.patch_embed.grid_size[0], network.embed_dim
        registers = network.num_prefix_tokens - 1
        self.grid = rows
        self.cls_token = nn.Parameter(torch.zeros(1, 1, channels))
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + rows**2, channels))
        self.mask_token = nn.Parameter(torch.zeros(1, channels))
        if registers:
            self.register_tokens = nn.Parameter(torch.zeros(1, registers, channels))
        self.patch_embed = nn.ModuleDict({"proj": network.patch_embed.proj})
        self.blocks, self.norm, self.head = network.blocks, network.norm, network.head

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        patches = self.patch_embed["proj"](images)
        count, channels, rows, columns = patches.shape
        learned = self.pos_embed[:, 1:].reshape(1, self.grid, self.grid, channels)
        learned = learned.permute(0, 3, 1, 2)
        beside = [self.cls_token + self.pos_embed[:, :1]]
        if hasattr(self, "register_tokens"):
            size = {"size": (rows, columns), "antialias": True}
            beside.append(self.register_tokens)
        else:
            size = {"scale_factor": ((rows + 0.1) / self.grid, (columns + 0.1) / self.grid)}
        if (rows, columns) != (self.grid, self.grid):
            learned = functional.interpolate(learned, mode="bicubic", **size)
        patches = (patches + learned).flatten(2).transpose(1, 2)
        tokens = torch.cat([*(token.expand(count, -1, -1) for token in beside), patches], dim=1)
        return self.head(self.norm(self.blocks(tokens))[:, 0])


def write_reference(path: Path) -> None:
    """Writes class tokens and means of patches' tokens, every third number.

    Args:
      path: of the `.npz` file.
    """
    stored = {}
    images = torch.from_numpy(draw_images(2, 56)[:, :42].astype(np.float32) / 127.5 - 1)
    for name, origin in (key for key in ORIGINALS if "_s14" in key[0]):
        network = original(name, origin, 0, embed_dim=128, num_heads=2).eval()
        shapes = {key: tuple(value.shape) for key, value in network.state_dict().items()}
        drawn = draw_tensors(shapes)
        network.load_state_dict({key: torch.from_numpy(a) for key, a in drawn.items()})
        seen = []
        network.norm.register_forward_hook(lambda *of, into=seen: into.append(of[-1]))
        with torch.inference_mode():
            network(images.permute(0, 3, 1, 2))
        patches = seen[0][:, (5 if "reg" in name else 1) :]
        features = torch.cat([seen[0][:, 0], patches.mean(1)], dim=1)
        stored[f"{name} {origin}"] = features[:, ::3].numpy()
    np.savez(path, **stored)
    print(f"{path}: {', '.join(stored)}")


if __name__ == "__main__":
    write_reference(Path(sys.argv[1]))
