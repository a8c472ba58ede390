"""The throughput benchmark's results as text."""

from typing import Any


def table(found: dict[str, Any]) -> str:
    """The rows as text.

    Args:
      found: from `compare`, with or without shares.

    Returns:
      Lines in fixed columns.
    """
    heads = ("contender", "variant", "median s", "min-max s", "GFLOP/s", "of peak")
    heads += ("peak MiB", "rise MiB", "first step s", "to ours")
    lines, remarks = [heads], []
    for row in found["rows"]:
        for trial in row["trials"]:
            if trial.get("wrong") or "error" in trial:
                what = trial.get("wrong") or trial["error"]
                remarks.append(f"  {row['contender']} ({trial['name']}): {what}")
        if row["status"] != "ok":
            lines.append((row["contender"], row["status"], *["-"] * (len(heads) - 2)))
            continue
        share = row.get("share_of_peak")
        lines.append(
            (
                row["contender"],
                row["variant"],
                f"{row['median']:.4g}",
                f"{row['min']:.4g}-{row['max']:.4g}",
                f"{row['gflops']:.3g}",
                "-" if share is None else f"{share:.1%}",
                f"{row['peak_mib']:.0f}",
                f"{row['rise_mib']:.0f}",
                f"{row['first_step_seconds']:.3g}",
                f"{row['ratio_to_ours']:.2f}" if "ratio_to_ours" in row else "-",
            )
        )
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    text = [
        "  ".join(
            cell.ljust(width) if index < 2 else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    if remarks:
        text += ["left out:", *remarks]
    if "ratio_to_fastest_peer" in found:
        ratio = found["ratio_to_fastest_peer"]
        low, high = ratio["paired_range"]
        text.append(
            f"ratio_to_fastest_peer: {ratio['of_medians']:.3f} ({ratio['peer']}); "
            f"paired by round {ratio['paired_median']:.3f} ({low:.3f} to {high:.3f})"
        )
    return "\n".join(text)
