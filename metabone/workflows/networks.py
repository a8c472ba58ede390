"""The networks and learners of the maturity benchmark, as its settings ask."""

from pathlib import Path

import optax

from metabone.learners import roles
from metabone.learners.base import MetaLearner
from metabone.learners.logistic import logistic_head
from metabone.learners.maml import maml
from metabone.learners.ordinal import ordinal_head
from metabone.learners.ordinal_probe import ordinal_probe
from metabone.learners.probe import probe
from metabone.nets.heads import with_head
from metabone.nets.network import Network
from metabone.nets.networks import conv_net, fully_connected, smi_net, vgg16
from metabone.nets.stored_features import stored_features
from metabone.workflows.settings import TRAINABLE, LearnerSettings

# Of sex, -1 or 1, against the 256 numbers of the last maps, which are after a ReLU about 0 to 2.
_SEX_BESIDE_MAPS = 3.0


def whole_network(
    config: LearnerSettings, ways: int, *, ordinal: bool = False, sex: bool = False
) -> Network:
    """Min and Kang's (2018) own network, of the scratch arms.

    Args:
      config: of the run.
      ways: outputs.
      ordinal: with an ordinal head in place of its own.
      sex: with a row of pixels below each image for the head, see `radiograph.sex.with_sex_row`.
    """
    widths = () if ordinal or sex else config.hidden
    own = smi_net(
        0 if ordinal or sex else ways,
        filters=config.filters,
        widths=widths,
        halvings=config.halvings,
        downsample=config.downsample,
    )
    if not (ordinal or sex):
        return own
    beside = _SEX_BESIDE_MAPS if sex else None
    return with_head(own, ways, config.hidden, ordinal=ordinal, beside=beside)


def head_network(config: LearnerSettings, ways: int, *, ordinal: bool = False) -> Network:
    """What is learned on top of a backbone."""
    if ordinal:
        return with_head(stored_features(), ways, config.hidden, ordinal=True)
    return fully_connected(ways, config.hidden)


def fitted_head(ways: int, *, ordinal: bool, sex: bool) -> MetaLearner:
    """A linear head that is fitted to the end on features of a backbone, whatever came before.

    Args:
      ways: classes of a task.
      ordinal: proportional odds, else multinomial.
      sex: whether the last feature is sex, as `radiograph.sex.join_sex` puts it.
    """
    if ordinal:
        return ordinal_head(stored_features(), ways, strength=3e-3, beside=int(sex))
    return logistic_head(stored_features(), ways)


def probe_head(ways: int, *, ordinal: bool, sex: bool) -> MetaLearner:
    """The probe, or the ordinal probe, on features of a backbone; see `fitted_head`."""
    if ordinal:
        return ordinal_probe(stored_features(), ways, beside=int(sex))
    return probe(stored_features(), ways)


def backbone_network(config: LearnerSettings, classes: int, widths: tuple[int, ...]) -> Network:
    """What the pre-trained arms freeze, under any head: VGG16, or MAML's own four blocks."""
    if config.backbone == "vgg16":
        return vgg16(classes, width=config.backbone_width, widths=widths, batch_norm=True)
    filters = _conv4_filters(config)
    return conv_net(classes, filters=filters, downsample=config.downsample, widths=widths)


def _conv4_filters(config: LearnerSettings) -> int:
    return max(1, round(64 * config.backbone_width))


def maml_of(config: LearnerSettings, network: Network, adapts: str = "all") -> MetaLearner:
    """The meta-learner of either arm."""
    return maml(
        network,
        inner_rate=config.inner_rate,
        inner_steps=config.inner_steps,
        test_steps=config.test_steps,
        order=config.order,
        norm=config.norm,
        roles=roles.head_adapts if adapts == "head" else roles.everything,
        learn_rates=config.learn_rates,
        remat=True,
    )


def check_networks(config: LearnerSettings) -> None:
    """Raises `InputError` for networks or learners that cannot be."""
    if config.backbone in TRAINABLE:
        backbone_network(config, 0, ())
    for network in (whole_network(config, 5), head_network(config, 5)):
        maml_of(config, network)


def describe(config: LearnerSettings) -> str:
    """What the table's rows are, in two sentences."""
    parts = {"all": "the whole network", "head": "the head alone"}
    backbones = {
        "vgg16": f"VGG16's convolutions, {config.backbone_width:g} times as wide",
        "conv4": f"four blocks of {_conv4_filters(config)} filters",
    }
    backbone = backbones.get(config.backbone, config.backbone)
    origin = "trained on the meta-training classes"
    if config.backbone_weights:
        origin = f"weights of {Path(config.backbone_weights).name}"
        if config.backbone_crops > 1:
            origin += f", the mean of {config.backbone_crops} crops"
    if config.pretrained:
        origin = f"trained by {config.pretrained}"
    return (
        f"Scratch: seven blocks of {config.filters} filters, of which meta-learning adapts "
        f"{parts[config.adapts]} (order {config.order}). Pretrained: {backbone}, "
        f"{origin}, then frozen for base and meta alike."
    )


def cosine_adam(
    rate: float, steps: int, floor: float, decay: float = 0.0
) -> optax.GradientTransformation:
    """Adam whose rate falls along a cosine to `floor` of itself, with decoupled weight decay."""
    schedule = optax.cosine_decay_schedule(rate, steps, floor)
    return optax.adamw(schedule, weight_decay=decay) if decay else optax.adam(schedule)
