"""Kubernetes quantities ("1500m", "2Gi", "1e3") as whole numbers, rounded up as the scheduler rounds them."""

from decimal import ROUND_CEILING, Decimal, InvalidOperation
from functools import lru_cache

_FACTORS = {
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


@lru_cache(maxsize=4096)
def _exact(text: str) -> Decimal:
    number, factor = text, Decimal(1)
    for length in (2, 1):
        if text[-length:] in _FACTORS:
            number, factor = text[:-length], _FACTORS[text[-length:]]
            break
    try:
        return Decimal(number) * factor
    except InvalidOperation:
        raise ValueError(f"quantity {text!r} is not a number with an optional suffix such as m, k, Mi") from None


def whole(quantity: str | float) -> int:
    """Return a quantity in its base unit (bytes, devices), rounded up. Raises ValueError."""
    return int(_exact(str(quantity)).to_integral_value(ROUND_CEILING))


def millis(quantity: str | float) -> int:
    """Return a quantity in thousandths (CPU millicores), rounded up. Raises ValueError."""
    return int((_exact(str(quantity)) * 1000).to_integral_value(ROUND_CEILING))
