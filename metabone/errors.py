"""The one exception that a user's input can cause."""


class InputError(ValueError):
    """What was given cannot be used; the message is one line naming what, where and the rule.

    Experiments print the message and exit with status 2; it is raised before anything is compiled
    or written.
    """
