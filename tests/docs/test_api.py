"""The API pages have every public name of the library, and no other."""

import ast
import re
import runpy
from pathlib import Path

import metabone

_ROOT = Path(__file__).parents[2]
_PAGES = _ROOT / "docs" / "api"
# What `python -m metabone` runs is no name that anyone imports.
_NOT_API = {"metabone.__main__"}


def test_every_public_function_and_class_is_on_a_page():
    """Public is what a module of metabone defines without a leading underscore in any part."""
    documented = _documented(path.read_text("utf-8") for path in _PAGES.glob("*.md"))
    missing = [name for name in _public(_ROOT / "metabone") if not _covers(documented, name)]
    assert not missing, f"on no page of docs/api: {', '.join(missing)}"


def test_a_module_is_on_one_page_only_and_is_there():
    written = [
        module
        for path in sorted(_PAGES.glob("*.md"))
        for module in re.findall(r"^\.\. automodule:: (\S+)", path.read_text("utf-8"), re.MULTILINE)
    ]
    assert len(written) == len(set(written))
    for module in written:
        assert (_ROOT / module.replace(".", "/")).with_suffix(".py").is_file(), module


def test_a_module_on_a_page_brings_its_names():
    assert runpy.run_path(str(_ROOT / "docs" / "conf.py"))["autodoc_default_options"]["members"]


def test_the_front_is_the_index_of_the_library():
    listed = re.findall(r"^   ~\S+\.(\w+)$", (_PAGES / "index.md").read_text("utf-8"), re.MULTILINE)
    assert sorted(listed) == sorted(dir(metabone))


def test_a_name_that_no_page_has_is_found(tmp_path):
    package = tmp_path / "metabone"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "new.py").write_text("def seen(): ...\n\nclass _Own: ...\n\ndef _own(): ...\n")
    (package / "_own.py").write_text("def hidden(): ...\n")
    assert list(_public(package)) == ["metabone.new.seen"]
    assert not _covers(_documented([".. automodule:: metabone.newer"]), "metabone.new.seen")
    assert _covers(_documented([".. automodule:: metabone.new"]), "metabone.new.seen")
    assert _covers(_documented([".. autofunction:: metabone.new.seen"]), "metabone.new.seen")


def _public(package):
    for module, tree in _modules(package):
        if module not in _NOT_API:
            yield from (f"{module}.{node.name}" for node in _defined(tree))


def _modules(package):
    for path in sorted(package.rglob("*.py")):
        module = ".".join(path.relative_to(package.parent).with_suffix("").parts)
        if not any(re.match("_(?!_)", part) for part in module.split(".")):
            yield module.removesuffix(".__init__"), ast.parse(path.read_text("utf-8"))


def _defined(tree):
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]


def _documented(pages):
    directive = r"^\.\. auto(?:module|class|function|exception|data):: (\S+)"
    return {name for page in pages for name in re.findall(directive, page, re.MULTILINE)}


def _covers(documented, name):
    return name in documented or name.rpartition(".")[0] in documented
