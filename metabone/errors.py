"""The exceptions that end in one line for a user."""


class InputError(ValueError):
    """What was given cannot be used; the message is one line naming what, where and the rule.

    Experiments print the message and exit with status 2; it is raised before anything is compiled
    or written.
    """


class TrainingDiverged(RuntimeError):
    """A metric or the state stopped being finite; the message says where and what may help."""
