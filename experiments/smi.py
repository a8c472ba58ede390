"""Skeletal maturity from a few hand films a class, after Min and Kang 2018.

Meta-trains on many classes of other images, adapts to hand-wrist films with few labelled films a
class, votes over their regions, and compares with transfer learning and training from scratch.
Without flags it does all of that on simulated films, in minutes on two cores.

  python -m experiments.smi
  python -m experiments.smi --target=rsna:DIR --draws=100
  python -m experiments.smi --evaluate=runs/smi/RUN --target=rsna:DIR
"""

import dataclasses
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from absl import flags

from experiments.settings import define_flags, launch, resolve, setting
from metabone.datasets.fingerprints import check_disjoint
from metabone.datasets.images import ImageSet
from metabone.datasets.source import load_films, load_images, parse_source
from metabone.episodes.sampling import sample, scale
from metabone.episodes.splits import split_names
from metabone.episodes.store import ImageStore, build_store, check_enough
from metabone.errors import InputError
from metabone.evaluation.film_rows import confusions_of, rows_of, votes_on
from metabone.evaluation.protocol import read_draws, read_films, task_accuracies
from metabone.evaluation.published import min_kang_2018
from metabone.evaluation.report import write_report
from metabone.evaluation.tables import all_tables, to_text
from metabone.learners.base import MetaLearner, cross_entropy, predictor
from metabone.learners.maml import maml
from metabone.learners.transfer import scratch
from metabone.nets.frozen import features
from metabone.nets.network import Network
from metabone.nets.networks import fully_connected, smi_net, vgg16
from metabone.radiograph.films import FilmSet
from metabone.radiograph.stages import check_cuts, parse_merge
from metabone.training.checkpoints import load_checkpoint
from metabone.training.json_files import read_json
from metabone.training.loop import train
from metabone.training.meta import meta_state, meta_step
from metabone.training.progress import ProgressLine
from metabone.training.run import Run, open_run
from metabone.training.supervised import supervised_state, supervised_step

_NORMS = ("inductive", "transductive")
_SIZE = 64  # pixels of a region, as the seed's


@dataclasses.dataclass(frozen=True)
class SmiSettings:
    """What the figures of a run depend on."""

    target: str = setting("simulated:smi", "Films to read: rsna:DIR or simulated:smi.")
    meta_source: str = setting(
        "simulated:bones", "Images to meta-train on: folder:PATH or simulated:bones."
    )
    evaluate: str = setting("", "Folder of a finished run: read the target with its learners.")
    seed: int = setting(0, "Of everything that is drawn.")
    shots: tuple[int, ...] = setting((5, 10, 20), "Support films a class, one table column each.")
    queries: int = setting(15, "Query films a class.")
    draws: int = setting(100, "Draws of support and query films that a figure is the mean of.")
    merge: str = setting("1,2/3,4/5,6/7,8,9/10,11", "Maturity stages that make up each class.")
    cuts: tuple[float, ...] = setting(
        (84.0, 114.0, 138.0, 162.0), "Bone ages in months that part the classes of real films."
    )
    pooled: bool = setting(False, "One adaptation on all regions together, not one a region.")
    # Networks.
    filters: int = setting(64, "Filters of the seven-block network.")
    halvings: int = setting(4, "How many of its blocks halve the image.")
    downsample: str = setting("stride", "How they do: stride or pool.")
    hidden: tuple[int, ...] = setting((256, 256), "Nodes of the fully connected layers.")
    backbone_width: float = setting(1.0, "Multiplies VGG16's filters.")
    # Meta-data.
    meta_classes: int = setting(300, "Classes of simulated meta-data.")
    meta_images: int = setting(40, "Images a class of simulated meta-data.")
    # Meta-training.
    meta_steps: int = setting(10_000, "Outer steps of the scratch arm.")
    head_steps: int = setting(10_000, "Outer steps of the pre-trained arm, on stored features.")
    meta_batch: int = setting(2, "Tasks an outer step.")
    meta_shots: int = setting(20, "Support images a class while meta-training.")
    meta_queries: int = setting(15, "Query images a class while meta-training.")
    meta_rate: float = setting(1e-3, "Adam's rate in the outer loop, falling to a tenth.")
    clip: float = setting(10.0, "Largest norm of the meta-gradient.")
    inner_rate: float = setting(0.05, "Inner rate, of the mean loss (0.01 on summed losses).")
    inner_steps: int = setting(5, "Inner steps while meta-training.")
    test_steps: int = setting(10, "Inner steps on the films.")
    order: int = setting(2, "Of the meta-gradient: 2 or 1.")
    learn_rates: bool = setting(False, "Also learn one inner rate a parameter (Meta-SGD).")
    norm: str = setting("inductive", "Batch statistics of queries while meta-training.")
    validate_every: int = setting(500, "Outer steps between validations on held-out classes.")
    validation_tasks: int = setting(100, "Tasks of a validation.")
    # Supervised pre-training of the backbone, shared by base and meta.
    pretrain_steps: int = setting(10_000, "Minibatches of backbone pre-training.")
    pretrain_batch: int = setting(64, "Images of a minibatch.")
    pretrain_rate: float = setting(1e-3, "Adam's rate, falling to nothing.")
    # Base learning.
    base_steps: int = setting(200, "Full-batch Adam steps on the support films.")
    base_rate: float = setting(1e-3, "Its rate.")
    base_decay: float = setting(1e-4, "Its weight decay.")


PRESETS: dict[str, dict[str, Any]] = {
    "demo": dict(
        filters=16,
        backbone_width=0.125,
        hidden=(64, 64),
        meta_images=30,
        meta_steps=240,
        head_steps=1500,
        meta_shots=8,
        meta_queries=8,
        inner_steps=3,
        inner_rate=0.1,
        test_steps=5,
        meta_rate=3e-3,
        learn_rates=True,
        validate_every=120,
        validation_tasks=30,
        pretrain_steps=400,
        pretrain_batch=32,
        pretrain_rate=3e-3,
        base_steps=60,
        base_rate=3e-3,
        draws=30,
    ),
    "cpu": dict(
        filters=32,
        backbone_width=0.25,
        meta_steps=2000,
        head_steps=5000,
        meta_shots=10,
        meta_queries=10,
        learn_rates=True,
        pretrain_steps=2000,
    ),
    "paper": {},
}

define_flags(SmiSettings, PRESETS, default="demo")
flags.DEFINE_string("runs_dir", "runs", "Folder of all runs.")
flags.DEFINE_string("run", "", "Name of the run; by default the preset and a hash of the settings.")
flags.DEFINE_string(
    "data_dir", None, "Where prepared data are kept [$METABONE_DATA_DIR or ~/.cache/metabone]."
)


class Arm(NamedTuple):
    """One learner of the table: what it is called, how it adapts, and to which store."""

    learning: str
    model: str
    learner: MetaLearner
    network: Network
    meta_params: Any
    store: ImageStore


def check(config: SmiSettings) -> None:
    """Raises `InputError` for settings that cannot be, before anything is read or compiled."""
    smallest = {"draws": 2, "queries": 1, "meta_batch": 1, "meta_shots": 1, "meta_queries": 1}
    smallest |= {"pretrain_batch": 1, "validate_every": 1, "validation_tasks": 2, "meta_images": 1}
    smallest |= {"meta_steps": 1, "head_steps": 1, "pretrain_steps": 1, "base_steps": 0, "seed": 0}
    for name, least in smallest.items():
        if getattr(config, name) < least:
            raise InputError(f"--{name}={getattr(config, name)}: expected at least {least}")
    for name in ("meta_rate", "pretrain_rate", "base_rate", "clip"):
        if not getattr(config, name) > 0:
            raise InputError(f"--{name}={getattr(config, name)}: expected a number above 0")
    if not config.shots or min(config.shots) < 1 or len(set(config.shots)) < len(config.shots):
        given = ",".join(map(str, config.shots))
        raise InputError(f"--shots={given}: expected different numbers of at least 1")
    if not config.hidden or min(config.hidden) < 1:
        raise InputError(f"--hidden={config.hidden}: expected numbers of at least 1")
    if config.seed >= 2**32:
        raise InputError(f"--seed={config.seed}: expected less than 2**32")
    parse_merge(config.merge)
    check_cuts(config.cuts)
    networks(config, 5)
    maml_of(config, fully_connected(5))


def networks(config: SmiSettings, ways: int) -> tuple[Network, Network, Network]:
    """The seed's network, VGG16 without its head, and the head."""
    whole = smi_net(
        ways,
        filters=config.filters,
        widths=config.hidden,
        halvings=config.halvings,
        downsample=config.downsample,
    )
    backbone = vgg16(0, width=config.backbone_width, widths=(), batch_norm=True)
    return whole, backbone, fully_connected(ways, config.hidden)


def maml_of(config: SmiSettings, network: Network) -> MetaLearner:
    """The meta-learner of either arm."""
    return maml(
        network,
        inner_rate=config.inner_rate,
        inner_steps=config.inner_steps,
        test_steps=config.test_steps,
        order=config.order,
        norm=config.norm,
        learn_rates=config.learn_rates,
        remat=True,
    )


def split_classes(config: SmiSettings, images: ImageSet, ways: int) -> dict[str, list[int]]:
    """Classes to train on, to validate on, and a tenth that this experiment never looks at."""
    count = len(images.class_names)
    tenth = max(ways, count // 10)
    if count < 3 * ways:
        raise InputError(
            f"{config.meta_source}: {count} classes; {ways} ways need {3 * ways} to split"
        )
    sizes = {"train": count - 2 * tenth, "validation": tenth, "test": tenth}
    return split_names(images.class_names, sizes, salt=str(config.seed))


def cosine_adam(rate: float, steps: int, floor: float) -> optax.GradientTransformation:
    """Adam whose rate falls along a cosine to `floor` of itself."""
    return optax.adam(optax.cosine_decay_schedule(rate, steps, floor))


def pretrained_backbone(
    config: SmiSettings, run: Run, images: ImageSet, classes: list[int]
) -> tuple[Any, Any]:
    """Trains VGG16 to tell the meta-training classes apart, once; its parameters and statistics."""
    network = vgg16(len(classes), width=config.backbone_width, widths=(), batch_norm=True)
    optimizer = cosine_adam(config.pretrain_rate, config.pretrain_steps, 0.0)
    params, stats = network.init(jax.random.key(config.seed), images.images.shape[1:])
    state = supervised_state(params, stats, optimizer)
    if config.evaluate:
        state = trained(config, "pretrain", state)
    else:
        rank = np.full(len(images.class_names), -1, np.int32)
        rank[classes] = np.arange(len(classes))
        chosen = rank[images.labels] >= 0
        state = train(
            supervised_step(
                network.apply, optimizer, cross_entropy, scale, batch_size=config.pretrain_batch
            ),
            state,
            (images.images[chosen], rank[images.labels[chosen]]),
            steps=config.pretrain_steps,
            seed=config.seed,
            checkpoints=run.checkpoints("pretrain"),
            metrics=run.metrics,
            phase="pretrain",
        ).best_state
    body = {name: leaf for name, leaf in state.params.items() if name != "head"}
    return body, state.norm_stats


def meta_trained(
    config: SmiSettings,
    run: Run,
    phase: str,
    learner: MetaLearner,
    stores: dict[str, ImageStore],
    ways: int,
    steps: int,
) -> Any:
    """Meta-trains a learner; its meta-parameters at the best validation."""
    optimizer = cosine_adam(config.meta_rate, steps, 0.1)
    shape = stores["train"].images.shape[1:]
    meta_params = jax.jit(learner.init, static_argnums=1)(jax.random.key(config.seed), shape)
    state = meta_state(meta_params, optimizer)
    if config.evaluate:
        return trained(config, phase, state).meta_params

    def sample_task(store, seed, step, task):
        sizes = dict(ways=ways, shots=config.meta_shots, queries=config.meta_queries)
        return sample(store, seed, step, task, **sizes)

    accuracies = task_accuracies(learner, sample_task, config.validation_tasks, config.seed)
    held_out = jax.device_put(stores["validation"])

    def validate(state):
        return {"accuracy": float(accuracies(state.meta_params, held_out).mean())}

    return train(
        meta_step(learner, optimizer, sample_task, meta_batch=config.meta_batch, clip=config.clip),
        state,
        jax.device_put(stores["train"]),
        steps=steps,
        seed=config.seed,
        validate=validate,
        validate_every=config.validate_every,
        checkpoints=run.checkpoints(phase),
        metrics=run.metrics,
        phase=phase,
    ).best_state.meta_params


def trained(config: SmiSettings, phase: str, template: Any) -> Any:
    """The best state of a phase of the run to evaluate."""
    folder = Path(config.evaluate) / "checkpoints" / phase
    return load_checkpoint(folder, template, best=True).state


def meta_stores(
    images: ImageSet,
    values: np.ndarray,
    split: dict[str, list[int]],
    config: SmiSettings,
    ways: int,
) -> dict[str, ImageStore]:
    """A store a split over the same images or features, checked for size and overlap."""
    stores = {}
    for part in ("train", "validation"):
        store = build_store(values, images.labels, classes=split[part], groups=images.patients)
        names = [images.class_names[label] for label in split[part]]
        check_enough(store, ways, config.meta_shots, config.meta_queries, names)
        stores[part] = store
    return stores


def arms(
    config: SmiSettings, run: Run, images: ImageSet, split: dict[str, list[int]], films: FilmSet
):
    """Trains what must be trained and yields the four learners of the table."""
    ways = len(films.class_names)
    whole, backbone, head = networks(config, ways)
    base_optimizer = optax.adamw(config.base_rate, weight_decay=config.base_decay)
    film_store = build_store(films.regions, films.classes, groups=films.patients)

    stores = meta_stores(images, images.images, split, config, ways)
    learner = maml_of(config, whole)
    meta_params = meta_trained(
        config, run, "meta_scratch", learner, stores, ways, config.meta_steps
    )
    on_device = jax.device_put(film_store)
    yield Arm("meta", "scratch", learner, whole, meta_params, on_device)
    base = scratch(whole, base_optimizer, steps=config.base_steps)
    yield Arm("base", "scratch", base, whole, (), on_device)

    params, stats = pretrained_backbone(config, run, images, split["train"])

    def embed(pixels):
        flat = pixels.reshape(-1, *pixels.shape[-3:])
        found = features(backbone, params, stats, flat, scale)
        return found.reshape(*pixels.shape[:-3], -1)

    # Standardised by the training classes: a fixed part of the backbone, for base and meta alike.
    embedded = embed(images.images)
    seen = embedded[np.isin(images.labels, split["train"])]
    centre, spread = seen.mean(0), seen.std(0) + 1e-3
    stores = meta_stores(images, (embedded - centre) / spread, split, config, ways)
    learner = maml_of(config, head)
    meta_params = meta_trained(
        config, run, "meta_pretrained", learner, stores, ways, config.head_steps
    )
    film_features = (embed(films.regions) - centre) / spread
    on_device = jax.device_put(film_store._replace(images=film_features))
    yield Arm("meta", "pretrained", learner, head, meta_params, on_device)
    base = scratch(head, base_optimizer, steps=config.base_steps)
    yield Arm("base", "pretrained", base, head, (), on_device)


def measure(config: SmiSettings, run: Run, arm: Arm, shots: int, films: FilmSet) -> None:
    """Reads the films with one learner at one number of shots, and writes the rows."""
    labels = dict(learning=arm.learning, model=arm.model, shots=shots)
    if run.results.find(**labels) is not None:
        return
    read = read_films(
        arm.learner,
        [predictor(arm.network, norm) for norm in _NORMS],
        shots=shots,
        queries=config.queries,
        pooled=config.pooled,
    )
    name = f"{arm.learning} {arm.model}, {shots} shots"
    line = ProgressLine(name, 0, config.draws)
    reading = read_draws(
        read,
        arm.meta_params,
        arm.store,
        seed=config.seed,
        draws=config.draws,
        done=lambda _: line.advance(1, {}),
    )
    line.close()
    # Table 3 is the seed's own protocol: its classes from its stages, no other merge.
    paper = min_kang_2018(arm.learning, arm.model, shots)
    found = {entry_key(entry): entry for entry in run.results.get("confusions", [])}
    for entry in confusions_of(reading, _NORMS, len(films.class_names), **labels):
        found[entry_key(entry)] = entry
    run.results.set(confusions=list(found.values()))
    if (arm.learning, arm.model, shots) == ("meta", "scratch", max(config.shots)):
        keep_examples(run, films, reading)
    run.results.append(*rows_of(reading, _NORMS, paper=paper, **labels))


def entry_key(entry: dict[str, Any]) -> tuple:
    """What a confusion matrix is of."""
    return tuple(entry[name] for name in ("learning", "model", "shots", "norm"))


def keep_examples(run: Run, films: FilmSet, reading) -> None:
    """Keeps a few whole films and their votes for the report."""
    found = votes_on(reading, films.example_index.tolist())
    kept = [i for i, film in enumerate(films.example_index.tolist()) if film in found]
    if not kept:
        return
    reads = [found[int(films.example_index[i])] for i in kept]
    np.savez_compressed(
        run.path / "examples.npz",
        films=films.examples[kept],
        boxes=films.example_boxes[kept],
        region_votes=np.stack([read["regions"] for read in reads]),
        votes=np.stack([read["vote"] for read in reads]),
        truth=films.classes[films.example_index[kept]],
    )


def load(config: SmiSettings, data_dir: str | None) -> tuple[FilmSet, ImageSet]:
    """Both data sets, checked."""
    films = load_films(
        config.target,
        size=_SIZE,
        merge=parse_merge(config.merge),
        cuts=config.cuts,
        data_dir=data_dir,
        seed=config.seed,
    )
    store = build_store(
        films.regions, films.classes, class_names=films.class_names, groups=films.patients
    )
    ways = len(films.class_names)
    check_enough(store, ways, max(config.shots), config.queries, films.class_names)
    images = load_images(
        config.meta_source,
        size=_SIZE,
        channels=1,
        data_dir=data_dir,
        seed=config.seed,
        classes=config.meta_classes,
        images_per_class=config.meta_images,
    )
    return films, images


def main() -> None:
    """Runs the experiment that the flags describe."""
    config = resolve(SmiSettings, PRESETS)
    if config.evaluate:
        config = with_trained_settings(config)
    check(config)
    for source in (config.target, config.meta_source):
        parse_source(source)
    plain = dataclasses.asdict(config)
    digest = hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:6]
    name = flags.FLAGS.run or f"{flags.FLAGS.preset}-{digest}"
    began = time.perf_counter()
    films, images = load(config, flags.FLAGS.data_dir)
    split = split_classes(config, images, len(films.class_names))
    parts = [(part, images.images[np.isin(images.labels, split[part])]) for part in split]
    check_disjoint(*parts, ("target", films.regions.reshape(-1, *films.regions.shape[2:])))
    print(f"data ready after {time.perf_counter() - began:.0f} s", file=sys.stderr)
    with open_run(flags.FLAGS.runs_dir, "smi", name, plain, seed=config.seed) as run:
        run.record_data(
            [
                {"role": "target", **dataclasses.asdict(films.provenance)},
                {"role": "meta", **dataclasses.asdict(images.provenance)},
            ]
        )
        if not run.results.complete:
            run.results.set(
                seed=config.seed,
                class_names=films.class_names,
                region_names=films.region_names,
                meta_classes={
                    part: [images.class_names[i] for i in rows] for part, rows in split.items()
                },
            )
            for arm in arms(config, run, images, split, films):
                for shots in config.shots:
                    measure(config, run, arm, shots, films)
            run.results.finish()
        report = write_report(run.path)
        for table in all_tables(read_json(run.path / "result.json")):
            print(to_text(table), "\n")
        print(f"result: {run.path / 'result.json'}\nreport: {report}")


def with_trained_settings(config: SmiSettings) -> SmiSettings:
    """The settings of the run to evaluate, but for what is asked of it now."""
    record = read_json(Path(config.evaluate) / "config.json")
    if not isinstance(record, dict) or record.get("experiment") != "smi":
        raise InputError(f"--evaluate={config.evaluate}: not the folder of an smi run")
    now = ("target", "evaluate", "shots", "queries", "draws", "merge", "cuts", "pooled")
    kept = {name: getattr(config, name) for name in now}
    fields = {field.name: field.default for field in dataclasses.fields(SmiSettings)}
    stored = {
        name: tuple(value) if isinstance(fields[name], tuple) else value
        for name, value in record["config"].items()
        if name in fields
    }
    return SmiSettings(**(stored | kept))


if __name__ == "__main__":
    launch(main)
