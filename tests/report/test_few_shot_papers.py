"""What the papers' authors did, and how it is told beside a figure."""

import re

import pytest

from metabone.report.conditions import RUNNING, TRANSDUCTIVE, WITH_SUPPORT, Conditions, Figure
from metabone.report.few_shot_papers import LINES, conditions_of
from metabone.report.result import presentation_of
from metabone.report.row_tables import conditions_note, mean_cell

REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+@[0-9a-f]{7} [\w./+-]+\.\w+")
PAPER = re.compile(r"\w+ et al\. 20\d\d, (table|tables|section|appendix|equation) \w+")
UNPUBLISHED = {"anil"}  # a repository of its authors was not found


def name(line):
    return "-".join(map(str, line[:5]))


@pytest.mark.parametrize("line", LINES, ids=name)
def test_no_published_figure_or_condition_stands_without_the_place_it_was_read_from(line):
    if line.learning in UNPUBLISHED:
        assert line.places == () and "conditions unconfirmed" in line.told()
    else:
        assert any(REPOSITORY.search(place) for place in line.places)
        assert all(REPOSITORY.search(p) or PAPER.search(p) for p in line.places)
        assert all(place in line.told() for place in line.places)
    if line.figure is not None:
        assert 0.4 < line.figure.accuracy < 1 and line.figure.place in line.told()
        where = REPOSITORY.search(line.figure.place) or PAPER.search(line.figure.place)
        assert where or not line.figure.confirmed
        assert line.figure.confirmed or "figure unconfirmed" in line.told()


def test_a_setting_of_a_version_has_one_line_and_a_paper_one_only_beside_that_of_the_code():
    keys = [line[:5] for line in LINES]
    assert len(set(keys)) == len(keys)
    assert all((*key[:4], "code") in keys for key in keys)


# Read again in the repositories, by hand: what each asks in tests, and how many tasks.
@pytest.mark.parametrize(
    ("source", "learning", "ways", "shots", "queries", "norm", "tasks"),
    [
        ("omniglot", "maml", 5, 1, 1, TRANSDUCTIVE, 600),
        ("mini_imagenet", "maml", 5, 5, 5, TRANSDUCTIVE, 600),
        ("mini_imagenet", "maml_plus_plus", 5, 5, 15, TRANSDUCTIVE, 600),
        ("omniglot", "reptile", 5, 1, 1, TRANSDUCTIVE, 10_000),
        ("mini_imagenet", "reptile", 5, 5, 1, WITH_SUPPORT, 10_000),
        ("mini_imagenet", "protonet", 5, 1, 15, RUNNING, 600),
        ("mini_imagenet", "r2d2", 5, 1, 47, RUNNING, 10_000),
        ("mini_imagenet", "r2d2", 5, 5, 43, RUNNING, 10_000),
        ("mini_imagenet", "boil", 5, 1, 15, TRANSDUCTIVE, 5_000),
        ("omniglot", "imaml", 5, 1, 1, TRANSDUCTIVE, 600),
    ],
)
def test_authors_ask_as_their_code_does(source, learning, ways, shots, queries, norm, tasks):
    line = conditions_of(f"{source}:FILE", learning, ways, shots)
    assert (line.test_queries, line.norm, line.tasks) == (queries, norm, tasks)


def test_what_was_not_published_has_no_conditions():
    assert conditions_of("omniglot:FILE", "meta_sgd", 5, 1) is None
    assert conditions_of("omniglot:FILE", "maml", 7, 1) is None
    assert conditions_of("folder:omniglot", "maml", 5, 1) is None


def test_a_row_tells_its_figure_with_conditions_and_place_and_says_what_is_unconfirmed():
    shown = presentation_of({"experiment": "benchmark"}).reference
    row = {"learning": "maml", "metric": "accuracy", "mean": 0.5, "ci95": 0.01}
    line = Conditions("omniglot", "maml", test_queries=1, places=("a/b@1234567 main.py:3",))
    for figure, aside in (
        (Figure(0.987, "Finn et al. 2017, table 1"), " [98.7]"),
        (Figure(0.684, "a citation", confirmed=False), " [68.4 unconfirmed]"),
        (None, ""),
    ):
        told = row | line._replace(figure=figure).fields()
        assert str(mean_cell(told, shown)) == f"50.0 ± 1.0{aside}"
        (note,) = conditions_note([told, told])
        assert note.startswith(
            f"Published: maml{aside}: transductive batch norm, 1 query a class, 600 tasks;"
        )
        assert "read in a/b@1234567 main.py:3" in note
        assert figure is None or figure.place in note
    assert conditions_note([row]) == ()
