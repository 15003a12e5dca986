"""Resource quantities as ints in base units: CPU in millicores, all else in whole bytes or pieces.

Syntax is apimachinery's resource.Quantity. Rounding is always to the safe side: what is there goes down, what is asked
for goes up. What a pod asks for is added up as the scheduler does (k8s.io/component-helpers/resource).
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from fractions import Fraction
from functools import lru_cache
from typing import Any

from federation.model.reading import Unreadable

Amounts = Mapping[str, int]

AMOUNT_MAX = 2**63 - 1  # an API server cuts quantities there, too; sums stay below it, so that they can be written
_LENGTH_MAX = 64  # an API server writes none in more than 30
_RESOURCE_MAX = 512  # a qualified name has 317 at the most

_QUANTITY = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))(?:[eE]([+-]?\d{1,3})|([KMGTPE]i|[numkMGTPE]))?", re.ASCII)
_SUFFIXES: dict[str | None, Fraction] = {
    None: Fraction(1),
    **{suffix: Fraction(1024) ** power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), 1)},
    **{suffix: Fraction(1000) ** power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), 1)},
    **{suffix: Fraction(1, 1000) ** power for power, suffix in enumerate(("m", "u", "n"), 1)},
}
_BINARY = ("Ei", "Pi", "Ti", "Gi", "Mi", "Ki")


def amount(resource: str, quantity: object, *, is_rounded_up: bool = False) -> int:
    """Return a quantity ("1500m", "2Gi", 3) of `resource` in its base unit, at most AMOUNT_MAX either way.

    Raises Unreadable for anything else.
    """
    is_number = isinstance(quantity, int | float) and not isinstance(quantity, bool)
    text = str(quantity).strip() if isinstance(quantity, str) or is_number else ""
    if len(text) > _LENGTH_MAX or len(resource) > _RESOURCE_MAX:
        raise Unreadable(f"{resource[:_RESOURCE_MAX]}: a quantity has at most {_LENGTH_MAX} characters")
    return _amount(resource, text, is_rounded_up)


@lru_cache(maxsize=4096)  # pods ask for the same few amounts, and exact fractions are slow
def _amount(resource: str, text: str, is_rounded_up: bool) -> int:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise Unreadable(f"{resource}: {text!r} is not a quantity")
    number, exponent, suffix = match.groups()
    value = Fraction(number) * (Fraction(10) ** int(exponent) if exponent else _SUFFIXES[suffix])
    if resource == "cpu":
        value *= 1000
    found = -(-value.numerator // value.denominator) if is_rounded_up else value.numerator // value.denominator
    return max(-AMOUNT_MAX, min(found, AMOUNT_MAX))


def amounts(quantities: Mapping[str, object] | None, *, is_rounded_up: bool = False) -> dict[str, int]:
    """Return the quantities of a resource list in base units; one that cannot be read is as good as absent."""
    found = {}
    for name, value in (quantities or {}).items():
        with suppress(Unreadable):
            found[name] = amount(name, value, is_rounded_up=is_rounded_up)
    return found


def quantity(resource: str, value: int) -> str:
    """Return an amount as a quantity, in the form in which API servers give it back."""
    if resource == "cpu":
        return str(value // 1000) if value % 1000 == 0 else f"{value}m"
    if resource in {"memory", "ephemeral-storage"} or resource.startswith("hugepages-"):
        for power, suffix in zip(range(6, 0, -1), _BINARY, strict=True):
            if value and value % 1024**power == 0:
                return f"{value // 1024**power}{suffix}"
    return str(value)


def quantities(values: Amounts) -> dict[str, str]:
    """Return amounts as a resource list."""
    return {name: quantity(name, value) for name, value in sorted(values.items())}


def total(many: Iterable[Amounts]) -> dict[str, int]:
    """Return the sum of several amounts, at most AMOUNT_MAX each."""
    result: dict[str, int] = {}
    for one in many:
        for name, value in one.items():
            result[name] = min(result.get(name, 0) + value, AMOUNT_MAX)
    return result


def largest(one: Amounts, other: Amounts) -> dict[str, int]:
    """Return the larger amount of each resource."""
    return {name: max(one.get(name, 0), other.get(name, 0)) for name in {**one, **other}}


def pod_requests(spec: Mapping[str, Any]) -> dict[str, int]:
    """Return what a pod asks of a node, one `pods` included.

    Containers and sidecars run together; each ordinary init container runs beside the sidecars started before it;
    a pod-level request, where there is one, stands for the containers' (KEP-2837); overhead comes on top.
    """
    running = total(_requests(container) for container in spec.get("containers") or [])
    sidecars: dict[str, int] = {}
    starting: dict[str, int] = {}
    for container in spec.get("initContainers") or []:
        requests = _requests(container)
        if container.get("restartPolicy") == "Always":
            sidecars = total((sidecars, requests))
            starting = largest(starting, sidecars)
        else:
            starting = largest(starting, total((sidecars, requests)))
    needed = largest(total((running, sidecars)), starting)
    needed |= amounts((spec.get("resources") or {}).get("requests"), is_rounded_up=True)
    return total((needed, amounts(spec.get("overhead"), is_rounded_up=True), {"pods": 1}))


def _requests(container: Mapping[str, Any]) -> dict[str, int]:
    return amounts((container.get("resources") or {}).get("requests"), is_rounded_up=True)
