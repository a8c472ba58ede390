"""A command: what it does, its settings and presets, and one call of it. Imports nothing heavy."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import metabone.training.run


class Preset(NamedTuple):
    """Settings that hold where no flag does.

    Attributes:
      values: fields that differ from the dataclass's defaults.
      takes: how long on what, such as `3 minutes on two cores`.
      expect: the figure that comes out, and on which data.
    """

    values: Mapping[str, Any]
    takes: str
    expect: str


class Command(NamedTuple):
    """What `launch` runs.

    Attributes:
      name: of the command.
      summary: one line.
      text: what it does and examples, the docstring of its module.
      settings: a frozen dataclass of `metabone.workflows.settings.setting` fields.
      presets: by name, the default first; empty for none.
      main: does it; may return an exit status.
      runs: whether it keeps runs, and so takes `--runs_dir`, `--run`, `--sweep` and `--seeds`.
      positional: which setting, a tuple of strings, is also given without its name.
      experiment: name of the folder of its runs; by default its own.
      preset_of: from the flags' texts to the preset that holds where none is named; by default the
        first.
    """

    name: str
    summary: str
    text: str
    settings: type
    presets: Mapping[str, Preset]
    main: Callable[["Call"], int | None]
    runs: bool = False
    positional: str = ""
    experiment: str = ""
    preset_of: Callable[[Mapping[str, Any]], str] | None = None


@dataclasses.dataclass(frozen=True)
class Call:
    """One call of a command.

    Attributes:
      command: what is called.
      config: its settings: flags over the preset over the defaults.
      given: which of them flags name.
      preset: name of the preset; empty if the command has none.
      runs_dir: folder of all runs; empty, as the next, for a command without.
      run: name of the run; empty for the preset and a hash of the settings.
      data_dir: where prepared data are kept; None for the usual place.
    """

    command: Command
    config: Any
    given: tuple[str, ...]
    preset: str
    runs_dir: str = ""
    run: str = ""
    data_dir: str | None = None

    @property
    def experiment(self) -> str:
        """What its runs are of."""
        return self.command.experiment or self.command.name

    def carry_out(
        self,
        config: Any,
        fill: Callable[["metabone.training.run.Run"], None],
        data: Sequence[Any] | None = None,
    ) -> None:
        """Opens the run of some settings, fills it unless it is complete, and shows what it holds.

        Args:
          config: what the figures of the run depend on, a dataclass with a seed.
          fill: does what the run lacks; a run that it finds impossible at its beginning is removed.
          data: see `Run.record_data`, where it is known before: a finished run of other data is
            refused too.
        """
        from metabone.commands.carry_out import carry_out

        carry_out(self, config, fill, data)
