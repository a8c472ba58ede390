"""What `info.yaml` says of a set of MedIMeta: its tasks, their classes, and whom to cite."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from metabone.datasets.archives import Members
from metabone.datasets.stated import NOT_STATED, Stated
from metabone.errors import InputError

_LONGEST = 2**18  # Bytes; the longest that is published has 2**12.
_LONGEST_TEXT = 2000
_MOST_DIGITS = 9
_TASK_KEYS = ("task_name", "task_target", "labels")
_ORDERED = "ORDINAL_REGRESSION"
_ONE_LABEL = ("BINARY_CLASSIFICATION", "MULTICLASS_CLASSIFICATION", _ORDERED)


class Task(NamedTuple):
    """One way in which the images of a set are labelled.

    Attributes:
      name: as the set names it.
      target: such as MULTICLASS_CLASSIFICATION.
      labels: from number to class, as `info.yaml` has them.
    """

    name: str
    target: str
    labels: Any

    @property
    def ordered(self) -> bool:
        """Whether classes are grades."""
        return self.target == _ORDERED


def read_info(members: Members, name: str) -> dict[str, Any]:
    """Reads an `info.yaml`, all of whose values stay text.

    Args:
      members: the folder or zip of a set.
      name: of the file.

    Raises:
      InputError: it is too long, no YAML, or holds no list of tasks.
    """
    where = members.where(name)
    if members.size(name) > _LONGEST:
        raise InputError(f"{where}: above the limit of {_LONGEST >> 10} KiB")
    try:
        # The loader that makes nothing but text, lists and mappings: a class 'no' stays a word.
        info = yaml.load(members.read(name), yaml.BaseLoader)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        told = getattr(error, "problem", None) or type(error).__name__
        raise InputError(f"{where}: not YAML ({' '.join(str(told).split())})") from None
    if not isinstance(info, dict) or not isinstance(info.get("tasks"), list):
        raise InputError(f"{where}: expected a mapping with a list of tasks")
    return info


def task_of(info: Mapping[str, Any], name: str, where: str, place: Path) -> Task:
    """The task of a name, or the only one of one label an image.

    Args:
      info: of `read_info`.
      name: of the task; empty for the only one.
      where: names the file in messages.
      place: names the set.

    Raises:
      InputError: there is no such task, there are several, or it is of several labels an image.
    """
    tasks = []
    for each in info["tasks"]:
        values = [each.get(key) for key in _TASK_KEYS] if isinstance(each, dict) else [None]
        if not all(isinstance(text, str) and text.isprintable() for text in values[:2]):
            raise InputError(f"{where}: a task without task_name or task_target")
        tasks.append(Task(*values))
    usable = [task for task in tasks if task.target in _ONE_LABEL]
    named = ", ".join(repr(task.name) for task in usable) or "none"
    known = f"tasks of one label an image are {named}"
    if not name and len(usable) != 1:
        such = f"; give one, such as medimeta:{place / usable[0].name}" if usable else ""
        raise InputError(f"{place}: its {known}{such}")
    chosen = [task for task in tasks if task.name == name] if name else usable
    if not chosen:
        raise InputError(f"{place}: holds no task {name!r}; its {known}")
    if chosen[0] not in usable:
        kind = chosen[0].target.lower().replace("_", " ")
        raise InputError(f"{place}: task {name!r} is {kind}; its {known}")
    return chosen[0]._replace(labels=_class_names(chosen[0], where))


def _class_names(task: Task, where: str) -> dict[int, str]:
    where = f"{where}: task {task.name!r}"
    if not isinstance(task.labels, dict):
        raise InputError(f"{where}: expected labels, each number with its class")
    names = {}
    for key, text in task.labels.items():
        name = " ".join(text.split()) if isinstance(text, str) else ""
        number = key.isdecimal() and len(key) <= _MOST_DIGITS
        if not number or not 0 < len(name) <= _LONGEST_TEXT or not name.isprintable():
            raise InputError(f"{where}: label {key!r}: expected a number with the name of a class")
        names[int(key)] = name
    [(common, count)] = Counter(names.values()).most_common(1) or [("", 0)]
    if len(names) < 2 or count > 1:
        found = f"{count} labels called {common!r}" if count > 1 else f"{len(names)} labels"
        raise InputError(f"{where}: {found}; expected two or more, of different names")
    if task.ordered:
        width = len(str(max(names)))
        names = {key: f"{key:0{width}d} {name}" for key, name in names.items()}
    return names


def stated_of_set(info: Mapping[str, Any], citation: str) -> Stated:
    """The set's own terms, and what its authors and those of its images ask to cite.

    Args:
      info: of `read_info`.
      citation: of MedIMeta.
    """
    original = info.get("original_data")
    cited = [citation]
    for each in original if isinstance(original, list) else ():
        texts = each.get("citations") if isinstance(each, dict) else None
        texts = texts if isinstance(texts, list) else [texts]
        cited += [text for text in texts if isinstance(text, str)]
    licence = info.get("license")
    texts = "; ".join(dict.fromkeys(cited)), licence if isinstance(licence, str) else NOT_STATED
    lines = (" ".join(text.split())[:_LONGEST_TEXT] for text in texts)
    return Stated(*("".join(filter(str.isprintable, line)) for line in lines))
