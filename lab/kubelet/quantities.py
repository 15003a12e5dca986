"""Kubernetes quantities ("500m", "2Gi", "1e3") as whole numbers of a base unit, rounded up."""

import math
import re
from decimal import Decimal

_QUANTITY = re.compile(
    r"(?P<number>[+-]?[0-9]*\.?[0-9]+|[+-]?[0-9]+\.)(?P<suffix>[numkMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?"
)
_SUFFIXES = {
    "n": Decimal("1e-9"),
    "u": Decimal("1e-6"),
    "m": Decimal("1e-3"),
    "k": Decimal(10**3),
    "M": Decimal(10**6),
    "G": Decimal(10**9),
    "T": Decimal(10**12),
    "P": Decimal(10**15),
    "E": Decimal(10**18),
    "Ki": Decimal(2**10),
    "Mi": Decimal(2**20),
    "Gi": Decimal(2**30),
    "Ti": Decimal(2**40),
    "Pi": Decimal(2**50),
    "Ei": Decimal(2**60),
}


def parse(quantity: str | int | float) -> Decimal:
    """The exact value of a quantity. Raises ValueError."""
    match = _QUANTITY.fullmatch(str(quantity))
    if match is None:
        raise ValueError(f"{quantity!r} is not a quantity: a number with one of {', '.join(_SUFFIXES)}, or an exponent")
    suffix = match["suffix"] or ""
    if suffix[:1] in ("e", "E") and suffix not in ("E", "Ei"):
        return Decimal(match["number"] + suffix)
    return Decimal(match["number"]) * _SUFFIXES.get(suffix, Decimal(1))


def whole(quantity: str | int | float, divisor: str | int = 1) -> int:
    """The quantity in units of `divisor`, rounded up: `whole("500m", "1m")` is 500."""
    return math.ceil(parse(quantity) / parse(divisor))
