"""Answers that may be given again for some seconds; the oldest go when there are too many."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

_ENTRIES_MAX = 2000  # callers and nodes are few; this only bounds what strangers can make us remember


@dataclass(frozen=True, slots=True)
class Answer(Generic[V]):
    """An answer, and until when it holds."""

    value: V
    until: float


class Answers(Generic[K, V]):
    """A small cache. `clock` gives monotonic seconds."""

    def __init__(self, clock: Callable[[], float], entries_max: int = _ENTRIES_MAX) -> None:
        self._clock = clock
        self._entries_max = entries_max
        self._answers: OrderedDict[K, Answer[V]] = OrderedDict()

    def get(self, key: K) -> Answer[V] | None:
        """Return the answer if it still holds."""
        answer = self._answers.get(key)
        if answer is None or answer.until <= self._clock():
            self._answers.pop(key, None)
            return None
        return answer

    def put(self, key: K, value: V, seconds: float) -> None:
        """Remember an answer for some seconds."""
        self._answers.pop(key, None)
        self._answers[key] = Answer(value, self._clock() + seconds)
        while len(self._answers) > self._entries_max:
            self._answers.popitem(last=False)
