"""Experiments: each assembles what metabone provides, and launches it."""

import sys

if sys.argv[:1] == ["-m"]:
    # `python -m experiments.NAME` has its package imported first, and all else takes seconds.
    from metabone.interrupt import install

    install()
