"""MAML's meta-step in PyTorch: by torch.func and by three meta-learning libraries.

All use the same module, accumulate the gradient task by task as these libraries' examples do, and
take PyTorch's own Adam. learn2learn's package imports its environments, data sets and vision parts
when it is imported, and with them gym, torchvision and extensions that do not compile for Python
3.11; so its `algorithms.maml`, unchanged, is imported without the package's `__init__` files.
"""

import importlib.util
import sys
from importlib import import_module
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from types import ModuleType

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.contenders import Running
from benchmarks.settings import Setting, draw_episodes, draw_weights

_OUTER_RATE = 1e-3
_EPSILON = 1e-3


class ConvNet(nn.Module):
    """The blocks and the head of `metabone.nets.networks.conv_net`, normalising by the batch."""

    def __init__(self, setting: Setting):
        super().__init__()
        channels = [setting.channels] + [setting.filters] * setting.blocks
        blocks: list[nn.Module] = []
        for index, (inputs, outputs) in enumerate(pairwise(channels)):
            halve = index < setting.halvings
            stride = 2 if halve and setting.downsample == "stride" else 1
            blocks.append(nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False))
            blocks.append(nn.BatchNorm2d(outputs, eps=_EPSILON, track_running_stats=False))
            blocks.append(nn.ReLU())
            if halve and setting.downsample == "pool":
                blocks.append(nn.MaxPool2d(2))
        image = torch.zeros(1, setting.channels, setting.side, setting.side)
        self.blocks = nn.Sequential(*blocks)
        sizes = [self.blocks(image).numel(), *setting.widths, setting.ways]
        head: list[nn.Module] = []
        for inputs, outputs in pairwise(sizes):
            head += [nn.Linear(inputs, outputs), nn.ReLU()]
        self.head = nn.Sequential(nn.Flatten(), *head[:-1])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """`[n, channels, side, side]` to logits `[n, ways]`."""
        return self.head(self.blocks(images))


def torch_func(
    setting: Setting, seed: int, *, tasks: str, layout: str, threads: int, compiled: bool = False
) -> Running:
    """`torch.func`'s gradients of a functional call.

    Args:
      setting: what to compute.
      seed: of weights and episodes.
      tasks: `loop` over tasks, or `vmap` over them.
      layout: `nchw` or `channels_last`.
      threads: of PyTorch.
      compiled: whether `torch.compile` traces the gradient, inner steps and all.

    Returns:
      The contender.
    """
    model, stacked = _prepare(setting, seed, layout, threads)

    def loss(weights, images, labels):
        return F.cross_entropy(torch.func.functional_call(model, weights, (images,)), labels)

    def task_loss(weights, support_images, support_labels, query_images, query_labels):
        adapted = weights
        for _ in range(setting.inner_steps):
            gradient = torch.func.grad(loss)(adapted, support_images, support_labels)
            adapted = {k: w - setting.inner_rate * gradient[k] for k, w in adapted.items()}
        return loss(adapted, query_images, query_labels)

    def mean_loss(weights, *stacked):
        return torch.func.vmap(task_loss, (None, 0, 0, 0, 0))(weights, *stacked).mean()

    gradient_of = torch.func.grad_and_value(task_loss if tasks == "loop" else mean_loss)
    if compiled:
        gradient_of = torch.compile(gradient_of)
    parameters = dict(model.named_parameters())

    def backward() -> float:
        weights = {name: parameter.detach() for name, parameter in parameters.items()}
        if tasks == "vmap":
            gradient, total = gradient_of(weights, *stacked)
            _put(parameters, gradient)
            return float(total)
        total = 0.0
        mean = {name: torch.zeros_like(weight) for name, weight in weights.items()}
        for task in zip(*stacked, strict=True):
            gradient, value = gradient_of(weights, *task)
            for name, one in gradient.items():
                mean[name].add_(one, alpha=1 / setting.tasks)
            total += float(value) / setting.tasks
        _put(parameters, mean)
        return total

    return _running(model, backward, {"torch": torch.__version__})


def learn2learn(setting: Setting, seed: int, *, layout: str, threads: int) -> Running:
    """learn2learn's MAML wrapper (Arnold et al. 2020).

    Args:
      setting: what to compute.
      seed: of weights and episodes.
      layout: see `torch_func`.
      threads: see `torch_func`.

    Returns:
      The contender.
    """
    package = _without_init("learn2learn")
    _without_init("learn2learn.algorithms")
    maml = import_module("learn2learn.algorithms.maml").MAML
    release = import_module(f"{package.__name__}._version").__version__
    model, stacked = _prepare(setting, seed, layout, threads)
    episodes = list(zip(*stacked, strict=True))
    wrapper = maml(model, lr=setting.inner_rate, first_order=False)

    def backward() -> float:
        total = 0.0
        for support_images, support_labels, query_images, query_labels in episodes:
            learner = wrapper.clone()
            for _ in range(setting.inner_steps):
                learner.adapt(F.cross_entropy(learner(support_images), support_labels))
            value = F.cross_entropy(learner(query_images), query_labels) / setting.tasks
            value.backward()
            total += value.item()
        return total

    return _running(model, backward, {"torch": torch.__version__, "learn2learn": release})


def higher(setting: Setting, seed: int, *, layout: str, threads: int) -> Running:
    """The inner-loop context of higher (Grefenstette et al. 2019).

    Args:
      setting: what to compute.
      seed: of weights and episodes.
      layout: see `torch_func`.
      threads: see `torch_func`.

    Returns:
      The contender.
    """
    library = import_module("higher")
    model, stacked = _prepare(setting, seed, layout, threads)
    episodes = list(zip(*stacked, strict=True))
    inner = torch.optim.SGD(model.parameters(), lr=setting.inner_rate)

    def backward() -> float:
        total = 0.0
        for support_images, support_labels, query_images, query_labels in episodes:
            with library.innerloop_ctx(
                model, inner, copy_initial_weights=False, track_higher_grads=True
            ) as (functional, differentiable):
                for _ in range(setting.inner_steps):
                    outputs = functional(support_images)
                    differentiable.step(F.cross_entropy(outputs, support_labels))
                outputs = functional(query_images)
                value = F.cross_entropy(outputs, query_labels) / setting.tasks
                value.backward()
            total += value.item()
        return total

    return _running(model, backward, {"torch": torch.__version__, "higher": version("higher")})


def torchopt(setting: Setting, seed: int, *, layout: str, threads: int) -> Running:
    """TorchOpt's differentiable MetaSGD (Ren et al. 2023).

    Args:
      setting: what to compute.
      seed: of weights and episodes.
      layout: see `torch_func`.
      threads: see `torch_func`.

    Returns:
      The contender.
    """
    library = import_module("torchopt")
    model, stacked = _prepare(setting, seed, layout, threads)
    episodes = list(zip(*stacked, strict=True))
    # MetaSGD replaces the module's tensors as it goes; the outer optimiser keeps the first ones.
    outer = torch.optim.Adam(model.parameters(), lr=_OUTER_RATE)
    inner = library.MetaSGD(model, lr=setting.inner_rate)

    def backward() -> float:
        total = 0.0
        start = library.extract_state_dict(model, by="reference", detach_buffers=True)
        inner_start = library.extract_state_dict(inner, by="reference")
        for support_images, support_labels, query_images, query_labels in episodes:
            for _ in range(setting.inner_steps):
                inner.step(F.cross_entropy(model(support_images), support_labels))
            value = F.cross_entropy(model(query_images), query_labels) / setting.tasks
            value.backward()
            library.recover_state_dict(model, start)
            library.recover_state_dict(inner, inner_start)
            total += value.item()
        return total

    versions = {"torch": torch.__version__, "torchopt": version("torchopt")}
    return _running(model, backward, versions, outer)


def _prepare(setting, seed, layout, threads) -> tuple[ConvNet, tuple[torch.Tensor, ...]]:
    torch.set_num_threads(threads)
    model = ConvNet(setting)
    drawn = draw_weights(setting, seed)
    values = []
    for index in range(setting.blocks):
        norm = drawn[f"norm_{index}"]
        kernel = drawn[f"conv_{index}"]["kernel"].transpose(3, 2, 0, 1)
        values += [kernel, norm["scale"], norm["bias"]]
    for index, layer in enumerate(drawn["head"].values()):
        kernel = layer["kernel"]
        if index == 0:
            # Our maps are flattened in the order H, W, C, these in the order C, H, W.
            side = round((len(kernel) / setting.filters) ** 0.5)
            by_place = kernel.reshape(side, side, setting.filters, -1)
            kernel = by_place.transpose(2, 0, 1, 3).reshape(kernel.shape)
        values += [kernel.T, layer["bias"]]
    with torch.no_grad():
        for parameter, value in zip(model.parameters(), values, strict=True):
            assert parameter.shape == value.shape
            parameter.copy_(torch.from_numpy(value.copy()))
    if layout == "channels_last":
        model = model.to(memory_format=torch.channels_last)
    support_images, support_labels, query_images, query_labels = draw_episodes(setting, seed)
    return model, (
        _images(support_images, layout),
        torch.from_numpy(support_labels).long(),
        _images(query_images, layout),
        torch.from_numpy(query_labels).long(),
    )


def _images(images, layout):
    # Seen as NCHW, what lies in memory as NHWC is PyTorch's channels_last.
    seen = torch.from_numpy(images).permute(0, 1, 4, 2, 3)
    return seen.contiguous() if layout == "nchw" else seen


def _put(parameters, gradient):
    for name, parameter in parameters.items():
        parameter.grad = gradient[name]


def _running(model, backward, versions, outer=None) -> Running:
    parameters = list(model.parameters())
    outer = outer or torch.optim.Adam(parameters, lr=_OUTER_RATE)

    def step() -> float:
        outer.zero_grad()
        value = backward()
        outer.step()
        return value

    def gradient_norm() -> float:
        return float(sum(p.grad.double().square().sum() for p in parameters)) ** 0.5

    return Running(step, gradient_norm, versions)


def _without_init(name: str) -> ModuleType:
    """Makes a package importable without running its `__init__`."""
    if name in sys.modules:
        return sys.modules[name]
    parent, _, leaf = name.rpartition(".")
    if parent:
        folders = [str(Path(folder, leaf)) for folder in sys.modules[parent].__path__]
    else:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named {name!r}")
        folders = list(spec.submodule_search_locations)
    package = ModuleType(name)
    package.__path__ = folders
    sys.modules[name] = package
    return package
