"""What a run keeps of a network that tells bone age, so that it can be used."""

import dataclasses
from collections.abc import Mapping

from metabone.workflows.age_adaptation import learn_strengths
from metabone.workflows.age_calibration import widths_of
from metabone.workflows.age_model import AgeModel, fingerprints_of
from metabone.workflows.age_parts import AgeParts
from metabone.workflows.age_settings import AgeSettings
from metabone.workflows.age_sight import method_of
from metabone.workflows.clinic_curve import COUNTS
from metabone.workflows.fit_regressor import FittedRegressor
from metabone.workflows.hand_regions import weights_sha256
from metabone.workflows.point_net_files import point_net_of


def age_model_of(
    config: AgeSettings,
    fitted: FittedRegressor,
    parts: AgeParts,
    *,
    view: str,
    sex_use: str,
    published: bool,
    about: Mapping[str, str],
) -> AgeModel:
    """A trained network with intervals, and with what it adapts by.

    Half widths are from the test part, which nothing was learned or chosen from; the strength of
    adaptation from the part that steps were chosen on, whose films no weight was fitted to.

    Args:
      config: of the run.
      fitted: the network.
      parts: of the films, as it sees them.
      view: of `config.views`.
      sex_use: of `config.sexes`; `separate` networks are none of one model.
      published: whether it began with `config.body_weights`.
      about: what it is and how good, heading to sentence.

    Returns:
      The model.
    """
    net = "" if view == "squashed" else weights_sha256(point_net_of(config.key_points))
    model = AgeModel(
        settings=config,
        view=view,
        sex_use=sex_use,
        published=published,
        image_shape=parts.train.images.shape[1:],
        params=fitted.params,
        norm_stats=fitted.norm_stats,
        scale=fitted.scale,
        key_points=net,
        method=method_of(view),
        learned=frozenset(fingerprints_of(parts.train) + fingerprints_of(parts.validation)),
        data=(dataclasses.asdict(parts.train.provenance),),
        about=about,
    )
    off = model.read(parts.test) - parts.test.months
    untold = model.read(parts.test.without_sex()) - parts.test.months if model.knows_sex else None
    return dataclasses.replace(
        model,
        widths=widths_of(off, parts.test.sex, config.level, untold),
        strengths=learn_strengths(model, parts.validation, COUNTS),
    )
