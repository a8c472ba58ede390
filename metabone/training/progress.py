"""How far training is and how long it will take, on stderr."""

import sys
import time

from tqdm import tqdm

_QUIET_SECONDS = 30.0


class ProgressLine:
    """A bar on a terminal, and a line every half minute elsewhere so that logs stay short.

    Args:
      phase: what is under way.
      done: steps done before.
      steps: steps in all.
      enabled: False for no output at all.
    """

    def __init__(self, phase: str, done: int, steps: int, enabled: bool = True):
        self._phase, self._done, self._steps = phase, done, steps
        self._enabled = enabled
        self._bar = None
        if enabled and sys.stderr.isatty():
            self._bar = tqdm(
                total=steps, initial=done, desc=phase, unit="step", dynamic_ncols=True, leave=True
            )
        self._said = time.monotonic()
        self._measured_from: tuple[float, int] | None = None

    def advance(self, count: int, shown: dict[str, float]) -> None:
        """Says that `count` more steps are done.

        Args:
          count: steps since the last call.
          shown: a few figures to print beside it.
        """
        self._done += count
        now = time.monotonic()
        if self._measured_from is None:
            # What came before the first step, compilation above all, says nothing of the rest.
            self._measured_from = now, self._done
        figures = ", ".join(f"{name} {value:.4g}" for name, value in shown.items())
        if self._bar is not None:
            self._bar.set_postfix_str(figures, refresh=False)
            self._bar.update(count)
        elif self._enabled and now - self._said >= _QUIET_SECONDS:
            self._said = now
            parts = [f"{self._phase}: step {self._done} of {self._steps}"]
            began, first = self._measured_from
            if self._done > first:
                left = (now - began) * (self._steps - self._done) / (self._done - first)
                parts.append(f"{duration(left)} left")
            print(", ".join([*parts, figures] if figures else parts), file=sys.stderr, flush=True)

    def say(self, text: str) -> None:
        """Prints a line without disturbing the bar.

        Args:
          text: the line.
        """
        if self._bar is not None:
            tqdm.write(text, file=sys.stderr)
        elif self._enabled:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Leaves the bar as it stands."""
        if self._bar is not None:
            self._bar.close()


def duration(seconds: float) -> str:
    """Seconds as a person says them.

    Args:
      seconds: at least 0.

    Returns:
      The two largest units.

    >>> duration(1.23), duration(42.3), duration(754), duration(9000)
    ('1.2 s', '42 s', '12 min 34 s', '2 h 30 min')
    """
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
