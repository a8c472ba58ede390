import json
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest

from metabone.errors import InputError
from metabone.training.checkpoints import Checkpoints, Progress, load_checkpoint


class State(NamedTuple):
    params: dict
    rest: tuple


def state_of(seed):
    key = jax.random.key(seed)
    return State(
        {"dense": {"kernel": jax.random.normal(key, (3, 4)), "bias": jnp.zeros(0)}},
        (jnp.int32(seed), None, key, jnp.array([1.5, -0.0], jnp.bfloat16), jnp.bool_(True)),
    )


def bits(tree):
    leaves = jax.tree.leaves(tree)
    raw = [jax.random.key_data(x) if x.dtype == jax.random.key(0).dtype else x for x in leaves]
    return [(str(x.dtype), x.shape, np.asarray(x).tobytes()) for x in raw]


def folders(path):
    return sorted(p.name for p in path.iterdir())


def test_a_state_comes_back_bit_for_bit(tmp_path):
    progress = Progress(7, 7, 0.1 + 0.2, 12.5, ({"step": 7, "accuracy": 0.1 + 0.2},))
    Checkpoints(tmp_path, settings={"shots": (5, 10)}).save(state_of(1), progress)
    found = Checkpoints(tmp_path, settings={"shots": [5, 10]}).restore(state_of(2))
    assert bits(found.state) == bits(state_of(1))
    assert jax.tree.structure(found.state) == jax.tree.structure(state_of(1))
    assert found.progress == progress


def test_an_abstract_template_is_enough(tmp_path):
    Checkpoints(tmp_path).save(state_of(1), Progress(7))
    template = jax.eval_shape(lambda: state_of(0))
    assert bits(Checkpoints(tmp_path).restore(template).state) == bits(state_of(1))


def test_only_the_last_and_the_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.restore(state_of(0)) is None and checkpoints.last_step() is None
    for step, best in [(1, 1), (2, 1), (3, 3), (4, 3), (5, 3)]:
        checkpoints.save(state_of(step), Progress(step, best, 0.5))
    assert folders(tmp_path) == ["step_00000003", "step_00000005"]
    assert bits(checkpoints.restore(state_of(0)).state) == bits(state_of(5))
    assert bits(checkpoints.restore(state_of(0), best=True).state) == bits(state_of(3))
    assert checkpoints.last_step() == 5


def test_leftovers_of_a_killed_save_are_passed_over_and_removed(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), Progress(1))
    (tmp_path / ".step_00000002.partial").mkdir()
    assert checkpoints.restore(state_of(0)).progress.step == 1
    checkpoints.save(state_of(2), Progress(2))
    assert folders(tmp_path) == ["step_00000002"]


def test_saving_is_due_after_a_while_and_is_announced(tmp_path):
    saved = []
    checkpoints = Checkpoints(tmp_path, min_seconds=1000, on_save=lambda: saved.append(1))
    assert not checkpoints.due()
    checkpoints.save(state_of(1), Progress(1))
    assert saved == [1]
    assert Checkpoints(tmp_path, min_seconds=0).due()


def test_evaluation_reads_the_best_or_the_last_whole_or_in_part(tmp_path):
    checkpoints = Checkpoints(tmp_path, settings={"a": 1})
    checkpoints.save(state_of(1), Progress(1, 1, 0.5))
    checkpoints.save(state_of(2), Progress(2, 1, 0.5))
    best = load_checkpoint(tmp_path)
    assert best.progress.step == 1 and best.settings == {"a": 1}
    assert set(best.state) == {"params", "rest"}
    np.testing.assert_array_equal(
        best.state["params"]["dense"]["kernel"], state_of(1).params["dense"]["kernel"]
    )
    template = state_of(0).params
    last = load_checkpoint(tmp_path, template, best=False, part="params")
    assert bits(last.state) == bits(state_of(2).params)
    leaf = load_checkpoint(tmp_path / "step_00000002", jnp.int32(0), part="rest/0")
    assert leaf.state == 2
    with pytest.raises(InputError, match="has no 'opt_state'"):
        load_checkpoint(tmp_path, part="opt_state")


def test_other_settings_are_refused_by_name(tmp_path):
    Checkpoints(tmp_path, settings={"meta_steps": 300, "seed": 1}).save(state_of(1), Progress(1))
    with pytest.raises(InputError, match=r"other settings: meta_steps 300 vs 500$"):
        Checkpoints(tmp_path, settings={"meta_steps": 500, "seed": 1}).restore(state_of(1))


@pytest.mark.parametrize(
    ("template", "message"),
    [
        (
            state_of(0)._replace(params={"dense": {"kernel": jnp.zeros((3, 5))}}),
            r"'params/dense/kernel' expected float32\[3,5\], found float32\[3,4\]",
        ),
        (
            state_of(0)._replace(params={"conv": jnp.zeros(2)}),
            r"'params/conv' expected float32\[2\], found nothing",
        ),
        (state_of(0).params, r"'dense/bias' expected float32\[0\], found nothing"),
        (
            state_of(0)._replace(rest=(jnp.float32(0), *state_of(0).rest[1:])),
            r"'rest/0' expected float32\[\], found int32\[\]",
        ),
    ],
)
def test_another_model_is_refused_naming_the_first_leaf(tmp_path, template, message, one_line):
    Checkpoints(tmp_path).save(state_of(1), Progress(1))
    with pytest.raises(InputError, match=message) as caught:
        Checkpoints(tmp_path).restore(template)
    one_line(caught, str(tmp_path / "step_00000001"), "another model")


@pytest.fixture
def one_line():
    def check(caught, *parts):
        message = str(caught.value)
        assert message.isprintable()
        for part in parts:
            assert part in message

    return check


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_a_damaged_checkpoint_is_refused(tmp_path, damage, one_line):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(state_of(1), Progress(1))
    for file in sorted(p for p in tmp_path.rglob("*") if p.is_file()):
        content = file.read_bytes()
        middle = len(content) // 2
        if damage == "remove":
            file.unlink()
        elif damage == "truncate":
            file.write_bytes(content[:middle])
        else:
            file.write_bytes(
                content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :]
            )
        try:
            checkpoints.restore(state_of(0))
        except InputError as error:
            assert str(tmp_path) in str(error) and str(error).isprintable()
        else:
            pytest.fail(f"{file} was read though damaged")
        file.write_bytes(content)


def test_what_is_no_checkpoint_of_ours_is_refused(tmp_path, one_line):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no checkpoint in") as caught:
        load_checkpoint(tmp_path / "empty")
    one_line(caught, str(tmp_path / "empty"))
    with pytest.raises(InputError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "step_00000001")

    (tmp_path / "step_00000002").mkdir()
    (tmp_path / "step_00000002" / "weights.pkl").write_bytes(b"\x80\x04N.")
    with pytest.raises(InputError) as caught:
        load_checkpoint(tmp_path)
    one_line(caught, "step_00000002")

    foreign = tmp_path / "step_00000003"
    with ocp.Checkpointer(ocp.PyTreeCheckpointHandler()) as checkpointer:
        checkpointer.save(foreign, args=ocp.args.PyTreeSave({"w": np.ones(3)}))
    with pytest.raises(InputError, match="is not a checkpoint of metabone") as caught:
        Checkpoints(tmp_path).restore(state_of(0))
    one_line(caught, str(foreign))


def test_an_altered_description_is_refused(tmp_path):
    Checkpoints(tmp_path).save(state_of(1), Progress(1))
    file = tmp_path / "step_00000001" / "description.json"
    content = json.loads(file.read_text())
    content["note"]["progress"]["step"] = 2
    file.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"description.json was altered"):
        Checkpoints(tmp_path).restore(state_of(0))


def test_two_leaves_of_one_path_are_refused(tmp_path):
    with pytest.raises(ValueError, match="share the path 'a/b'"):
        Checkpoints(tmp_path).save({"a/b": jnp.zeros(1), "a": {"b": jnp.zeros(1)}}, Progress(1))
