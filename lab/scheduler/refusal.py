"""Why one node cannot take one pod."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """`rejector` is upstream's plugin name, `reasons` its words; final where no preemption could help."""

    rejector: str
    reasons: tuple[str, ...]
    is_final: bool = False
