"""What a benchmark has measured, printed as it is measured."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import quantiles


@dataclass
class Figures:
    """What was measured with so many chunks or files: a value by its name with the unit."""

    size: int
    values: dict[str, float] = field(default_factory=dict[str, float])

    def add(self, name: str, value: float, unit: str) -> None:
        self.values[f"{name}, {unit}"] = value
        print(f"  {name:<52}{value:>12,.1f} {unit}", flush=True)

    def times(self, name: str, taken: Sequence[float]) -> None:
        cuts = quantiles(taken, n=20)
        self.values[f"{name}, p50 ms"], self.values[f"{name}, p95 ms"] = cuts[9], cuts[18]
        print(f"  {name:<52}{cuts[9]:>12.1f} p50{cuts[18]:>9.1f} p95 ms", flush=True)
