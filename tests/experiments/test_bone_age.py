"""The experiment on a few films of noise, by a network of a few hundred weights."""

import json

import numpy as np
import pytest
from PIL import Image

from experiments.bone_age import COMMAND, main
from experiments.bone_age_settings import PRESETS, check
from metabone.commands.command import Call
from metabone.errors import InputError
from metabone.workflows.age_model import load_age_model
from metabone.workflows.age_settings import AgeSettings

SMALL = dict(
    size=32,
    network="conv4",
    width=0.0625,
    head_widths=(),
    sex_width=2,
    steps=4,
    origin_steps=2,
    batch=8,
    test_share=0.2,
    validation_share=0.2,
)


def write_films(folder, columns, rows, seed):
    folder.mkdir()
    (folder / "images").mkdir()
    rng = np.random.default_rng(seed)
    for name, *_ in rows:
        film = Image.fromarray(rng.integers(0, 256, (40, 36)).astype(np.uint8))
        film.save(folder / "images" / f"{name}.png")
    lines = [columns, *(",".join(map(str, row)) for row in rows)]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return str(folder)


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    folder = tmp_path_factory.mktemp("films")
    sexes = ("F", "M")
    hands = [(f"h{k}", 20 + 3 * k, sexes[k % 2]) for k in range(60)]
    chests = [(f"c{k}", f"p{k}", 1 + k, sexes[k % 2], "PA") for k in range(60)]
    return {
        "films": "rsna:" + write_films(folder / "hands", "id,bone_age_months,sex", hands, 0),
        "chest": "chest:"
        + write_films(folder / "chest", "id,patient,age_years,sex,view", chests, 1),
    }


def run(sources, tmp_path, **settings):
    config = AgeSettings(**SMALL | sources | settings)
    call = Call(
        COMMAND, config, (), "demo", str(tmp_path / "runs"), "small", str(tmp_path / "data")
    )
    main(call)
    folder = tmp_path / "runs" / "bone_age" / "small"
    return folder, json.loads((folder / "result.json").read_text()), call


def test_a_run_fills_its_table_keeps_its_best_network_and_is_shown_again(sources, tmp_path, capsys):
    folder, result, call = run(
        sources, tmp_path, origins=("random", "chest:0-40"), arms=("head",), maps=1
    )
    rows = {(row["arm"], row["origin"]): row for row in result["rows"]}
    assert list(rows) == [
        ("median", ""),
        ("median by sex", ""),
        ("head", "random"),
        ("head", "chest 0-40"),
    ]
    assert result["complete"]
    assert {row["trainings"] for row in result["rows"]} == {1}
    assert {row["test_films"] for row in result["rows"]} == {12}
    (best,) = (row for row in result["rows"] if row.get("best"))
    errors = {row["origin"]: row["validation_mae"][0] for row in result["rows"][2:]}
    assert best["origin"] == min(errors, key=errors.get)
    assert len(best["maps"]) == 3
    assert all((folder / "maps" / each["file"]).is_file() for each in best["maps"])
    assert load_age_model(folder).view == "squashed"
    printed = capsys.readouterr().out
    assert "33.0" in printed and "median" in printed
    before = (folder / "result.json").read_bytes()
    main(call)
    assert (folder / "result.json").read_bytes() == before


def test_a_film_of_the_test_part_among_an_origins_films_is_refused(sources, tmp_path):
    hands = sources["films"].removeprefix("rsna:")
    names = [f"h{k}" for k in range(60)]
    rows = [(name, f"p{k}", 1 + k, "F", "PA") for k, name in enumerate(names)]
    chest = write_films(tmp_path / "chest", "id,patient,age_years,sex,view", rows, 0)
    for name in names:
        film = Image.open(f"{hands}/images/{name}.png")
        film.save(f"{chest}/images/{name}.png")
    planted = sources | {"chest": f"chest:{chest}"}
    with pytest.raises(InputError, match=r"stage 'chest': film h\d+ of .* is"):
        run(planted, tmp_path, origins=("chest",), arms=("head",))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"films": "simulated:smi"}, "--films=simulated:smi: expected films of hands"),
        ({"views": ("square",)}, "--views=square: expected different ones of"),
        ({"sexes": ()}, "--sexes=: expected different ones of"),
        ({"network": "vgg16"}, "--network=vgg16: expected one of"),
        ({"origins": ("chest:0-20",), "chest": "rsna:a"}, "--chest=rsna:a: expected chest:DIR"),
        ({"origins": ("chest:young",)}, "--origins=chest:young: expected chest:LOW-HIGH"),
        ({"origins": ("chest:20-0",)}, "expected a lower and a higher age"),
        ({"origins": ("images",)}, "--origins=images: needs --images"),
        ({"origins": ("published",)}, "--body_weights=: --origins=published needs a file"),
        ({"arms": ("last:0",)}, "--arms=last:0: expected some of"),
        ({"arms": ("head", "head")}, "--arms=head,head: expected different names"),
        ({"paced_rates": (0.0,)}, "--paced_rates: expected numbers above 0"),
        ({"train_films": (-1,)}, "--train_films: expected numbers of films"),
        ({"level": 1.0}, "--level=1: expected at least 0.5"),
        ({"rotation": 200.0}, "--rotation=200: expected 0 to 180"),
        ({"steps": 0}, "--steps=0: expected at least 1"),
    ],
)
def test_settings_that_cannot_be_end_in_one_line(settings, said):
    with pytest.raises(InputError) as error:
        check(AgeSettings(**settings))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_can_be(name, tmp_path):
    file = tmp_path / "weights.safetensors"
    file.touch()
    given = dict(films="rsna:a", chest="chest:b", images="mini_imagenet:c", body_weights=str(file))
    check(AgeSettings(**given | dict(PRESETS[name].values)))
