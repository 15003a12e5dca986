"""Generated names and UIDs, from a random source that a simulation can seed."""

from random import Random
from uuid import UUID

ALPHABET = "bcdfghjklmnpqrstvwxz2456789"  # upstream's: no vowels, so no words
SUFFIX_LENGTH = 5
BASE_LENGTH_MAX = 58  # of a generated name, so that with the suffix it stays a label


def suffix(random: Random) -> str:
    """Return five characters."""
    return "".join(random.choices(ALPHABET, k=SUFFIX_LENGTH))


def generated(base: str, random: Random) -> str:
    """Return a name that begins with `base`."""
    return base[:BASE_LENGTH_MAX] + suffix(random)


def uid(random: Random) -> str:
    """Return a random UUID."""
    return str(UUID(int=random.getrandbits(128), version=4))
