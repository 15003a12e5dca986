"""One hold per pod UID; the newest call wins (rule M3)."""

from federation.reservation.holds import Hold, Holds, Verdict


def hold(uid: str, name: str = "a") -> Hold:
    return Hold(uid, "ns", name, "node")


async def test_M3_the_newest_call_for_a_pod_wins() -> None:
    holds, older, newer = Holds(), hold("1"), hold("1")
    holds.open(older)
    holds.open(newer)
    assert older.verdict.result() is Verdict.SUPERSEDED
    assert holds.of("ns", "a") == [newer]
    assert not holds.close(older), "the newer one stays"
    assert holds.has("1")
    assert holds.close(newer)
    assert (len(holds), holds.of("ns", "a"), holds.has("1")) == (0, [], False)


async def test_pods_of_one_name_after_another_are_told_apart() -> None:
    """A candidate that is made again has its predecessor's name, whose hold may still be ending."""
    holds, old, new, other = Holds(), hold("1"), hold("2"), hold("3", "b")
    for one in (old, new, other):
        holds.open(one)
    assert holds.of("ns", "a") == [old, new]
    assert holds.close(old)
    assert holds.of("ns", "a") == [new]
    assert holds.of("ns", "b") == [other]
    assert holds.of("elsewhere", "a") == []
