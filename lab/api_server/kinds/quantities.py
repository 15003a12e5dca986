"""Quantities (`500m`, `1Gi`, `2`) as exact numbers."""

from fractions import Fraction

BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}


def quantity(text: object) -> Fraction:
    """Return the value of a quantity; text that is not one counts as 0."""
    shown = str(text)
    number = shown.rstrip("KMGTPEkinum")
    suffix = shown[len(number) :]
    try:
        if suffix in BINARY:
            return Fraction(number) * Fraction(1024 ** BINARY[suffix])
        exponent = DECIMAL[suffix]
        return Fraction(number) * (Fraction(10**exponent) if exponent >= 0 else Fraction(1, 10**-exponent))
    except (ValueError, KeyError):
        return Fraction(0)
