import numpy as np
import pytest

from metabone.datasets.aged_files import load_aged_films, save_aged_films
from metabone.errors import InputError
from metabone.provenance import Provenance
from metabone.radiograph.aged_films import AgedFilms
from metabone.stored_arrays import load_arrays, save_arrays

NAMES = ("images", "months", "sex", "patients", "ids", "looks", "provenance", "sha256")


def films(looks=None):
    names = np.array(["a", "b", "c"])
    return AgedFilms(
        images=np.random.default_rng(0).integers(0, 256, (3, 4, 4, 1), dtype=np.uint8),
        months=np.array([10.5, 20, 30], np.float32),
        sex=np.array(["F", "", "M"]),
        patients=names[[0, 0, 2]],
        ids=names,
        provenance=Provenance("rsna:there", "real", "0" * 64, 3, "cite", "any", ("one", "two")),
        looks=looks,
    )


@pytest.mark.parametrize("looks", [None, np.ones((3, 64, 64), np.uint8)])
def test_films_are_read_as_they_were_written(tmp_path, looks):
    written = films(looks)
    save_aged_films(written, tmp_path / "films.npz")
    read = load_aged_films(tmp_path / "films.npz")
    assert read.provenance == written.provenance
    for name in NAMES[:6]:
        np.testing.assert_array_equal(getattr(read, name), getattr(written, name))
    assert [file.name for file in tmp_path.iterdir()] == ["films.npz"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("images", np.zeros((3, 4, 4, 1), np.uint8)),
        ("months", np.array([10.5, 20, 31], np.float32)),
        ("sex", np.array(["M", "", "F"])),
        ("provenance", np.array("{}")),
    ],
)
def test_films_that_were_changed_are_refused(tmp_path, name, value):
    path = tmp_path / "films.npz"
    save_aged_films(films(), path)
    arrays = load_arrays(path, NAMES)
    save_arrays(path, **{**arrays, name: value})
    with pytest.raises(InputError, match=r"films.npz: damaged \(not the films .* delete it"):
        load_aged_films(path)


def test_a_file_that_is_cut_off_is_refused(tmp_path):
    path = tmp_path / "films.npz"
    save_aged_films(films(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"films.npz: damaged"):
        load_aged_films(path)
