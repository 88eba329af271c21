"""The table of RESULTS.md from the JSON of a run: `python bench/results_table.py result.json`.

Medians over the rounds; the ratio is of CPU time, server and database together.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from statistics import median
from typing import Any

OURS, THEIRS = "voicechat", "synapse"
Values = dict[tuple[str, str], list[dict[str, Any]]]


def read(path: Path) -> Values:
    """Metrics by target and label, a list entry a round."""
    found: Values = {}
    for result in json.loads(path.read_bytes())["results"]:
        if result.get("metrics"):
            found.setdefault((result["target"], result["label"]), []).append(result["metrics"])
    return found


def middle(rounds: list[dict[str, Any]], name: str) -> float | None:
    """Median of one metric, None where it was not measured."""
    values = [metrics[name] for metrics in rounds if isinstance(metrics.get(name), (int, float))]
    return median(values) if values else None


def milliseconds(rounds: list[dict[str, Any]]) -> tuple[float, float]:
    """CPU of server and database for one operation, or for one delivered event."""
    unit = "delivery" if any("cpu_ms_per_delivery" in metrics for metrics in rounds) else "op"
    return middle(rounds, f"cpu_ms_per_{unit}") or 0, middle(rounds, f"pg_cpu_ms_per_{unit}") or 0


def cpu(rounds: list[dict[str, Any]]) -> str:
    return "{:.2f} + {:.2f}".format(*milliseconds(rounds))


def total(rounds: list[dict[str, Any]]) -> float:
    return sum(milliseconds(rounds))


def latency(rounds: list[dict[str, Any]]) -> str:
    value = middle(rounds, "p50_ms")
    return "" if value is None else f"{value:.1f}"


def main() -> None:
    """Print the table."""
    values = read(Path(sys.argv[1]))
    print("| operation | Synapse: CPU ms, server + PG | VoiceChat | ratio | Synapse: p50 ms | VoiceChat |")
    print("|---|---|---|---|---|---|")
    for target, label in values:
        theirs, ours = values[target, label], values.get((OURS, label))
        if target != THEIRS or ours is None or not total(ours):
            continue
        ratio = total(theirs) / total(ours)
        print(f"| {label} | {cpu(theirs)} | {cpu(ours)} | **{ratio:.0f}×** | {latency(theirs)} | {latency(ours)} |")
    peaks = {target: max(middle(each, "server_rss_peak_mib") or 0 for key, each in values.items() if key[0] == target)
             for target in (THEIRS, OURS)}  # fmt: skip
    idle = {target: middle(values[target, "startup"], "idle_rss_mib") for target in (THEIRS, OURS)}
    ready = {target: values[target, "startup"][-1]["ready_s"] for target in (THEIRS, OURS)}
    print("\n| | Synapse | VoiceChat |\n|---|---|---|")
    print(f"| RSS idle, MiB | {idle[THEIRS]:.0f} | {idle[OURS]:.0f} |")
    print(f"| RSS after everything, MiB (peak) | {peaks[THEIRS]:.0f} | {peaks[OURS]:.0f} |")
    print(f"| second start to the first answer, s | {ready[THEIRS]:.2f} | {ready[OURS]:.2f} |")


if __name__ == "__main__":
    main()
