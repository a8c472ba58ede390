"""Sphinx: Markdown pages and the API, built without network."""

import re

from metabone import __version__ as release

project = "metabone"

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "examples"]
myst_heading_anchors = 3

# A module on a page brings all its public names, so that none is forgotten.
autodoc_default_options = {"members": True}
autosummary_generate = False
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


_FENCED = re.compile(r"^( *)```(?:python)?\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def _mark_code(app, what, name, obj, options, lines):
    """Code in a docstring is marked as in Markdown; reST wants two backticks, or a directive."""
    parts = _FENCED.split("\n".join(lines))
    for i in range(0, len(parts), 3):
        parts[i] = re.sub(r"(?<!`)`([^`]+)`(?!`)", r"``\1``", parts[i])
    for i in range(1, len(parts), 3):
        code = "".join(f"   {line}\n" for line in parts[i + 1].splitlines())
        parts[i] = f"{parts[i]}.. code-block:: python\n\n"
        parts[i + 1] = code
    lines[:] = "".join(parts).split("\n")


def _skip_field(app, what, name, obj, skip, options):
    """Fields are described where their class is; a NamedTuple's own words for them say nothing."""
    return True if type(obj).__name__ == "_tuplegetter" else None


def setup(app):
    # Before napoleon (500), which takes a colon outside double backticks for the end of a type.
    app.connect("autodoc-process-docstring", _mark_code, priority=400)
    app.connect("autodoc-skip-member", _skip_field)
