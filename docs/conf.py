"""Sphinx: Markdown pages and the API, built without network."""

import re
import tomllib
from pathlib import Path

_ROOT = Path(__file__).parents[1]

project = "metabone"
release = tomllib.loads((_ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["_build", "examples"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 80
napoleon_google_docstring = True
napoleon_numpy_docstring = False
# Fields of a NamedTuple or dataclass are described in its docstring, once, with their shapes.
napoleon_attr_annotations = False

html_theme = "furo"
html_title = f"metabone {release}"
html_copy_source = False


def _mark_code(app, what, name, obj, options, lines):
    """A single backtick in a docstring is code, as in Markdown; reST wants two."""
    marked = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", "\n".join(lines))
    lines[:] = marked.split("\n")


def setup(app):
    # Before napoleon (500), which takes a colon outside double backticks for the end of a type.
    app.connect("autodoc-process-docstring", _mark_code, priority=400)
