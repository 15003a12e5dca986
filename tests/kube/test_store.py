"""A store: what it knows, and which news it believes."""

from typing import Any

from federation.kube.store import Store

KEY = ("ns", "a")


def thing(version: int | str, value: str, name: str = "a") -> dict[str, Any]:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": str(version)}, "value": value}


def store() -> tuple[Store[str], list[str | None]]:
    """A store that was listed at version 10, and what its subscriber was told since."""
    told: list[str | None] = []
    made: Store[str] = Store(lambda manifest: str(manifest["value"]))
    made.begin_list("10")
    made.upsert(thing(5, "listed"))
    made.finish_list({KEY})
    made.subscribe(lambda key, old, new: told.append(new) if key == KEY else None)
    told.clear()
    return made, told


def test_older_news_of_an_object_that_we_wrote_are_dropped() -> None:
    known, told = store()
    known.learn(thing(13, "written"))
    known.upsert(thing(12, "by another, before"))
    assert known.get(*KEY) == "written"
    known.upsert(thing(13, "written"))
    known.upsert(thing(14, "by another, after"))
    assert told == ["written", "by another, after"], "and what is known is not told twice"


def test_an_answer_that_comes_after_the_watch_has_told_more_is_no_news() -> None:
    known, _ = store()
    known.upsert(thing(13, "written"))
    known.upsert(thing(14, "by another"))
    known.learn(thing(13, "written"))
    assert known.get(*KEY) == "by another"
    known.upsert(thing(20, "elsewhere", name="b"))
    known.learn(thing(19, "late answer"))
    assert known.get(*KEY) == "by another"


def test_an_object_that_we_made_again_survives_the_news_of_its_predecessors_end() -> None:
    known, _ = store()
    known.learn(thing(15, "made again"))
    known.remove(thing(14, "old"))
    assert known.get(*KEY) == "made again"
    known.remove(thing(15, "made again"))
    assert known.get(*KEY) is None, "a deletion may carry the version that was last written"


def test_a_list_starts_anew_also_where_time_was_turned_back() -> None:
    """A restored etcd counts from the backup on: what we knew of later versions must not outlive the relist."""
    known, _ = store()
    known.learn(thing(900, "lost"))
    known.begin_list("20")
    known.upsert(thing(18, "restored"))
    known.finish_list({KEY})
    assert known.get(*KEY) == "restored"
    known.learn(thing(21, "written"))
    assert known.get(*KEY) == "written"


def test_what_we_made_while_a_list_was_on_its_way_comes_with_the_watch() -> None:
    known, _ = store()
    known.learn(thing(25, "ours", name="b"))
    known.begin_list("20")
    known.learn(thing(26, "ours", name="b"))
    known.upsert(thing(5, "listed"))
    known.finish_list({KEY})
    assert known.get("ns", "b") is None
    known.upsert(thing(26, "ours", name="b"))
    assert known.get("ns", "b") == "ours"


def test_versions_that_are_no_numbers_are_not_compared() -> None:
    known, _ = store()
    known.learn(thing("opaque", "written"))
    assert known.get(*KEY) == "listed"
    known.upsert(thing("opaque-2", "told"))
    assert known.get(*KEY) == "told"


def test_t1_of_an_object_that_never_could_be_read_subscribers_are_told_nothing() -> None:
    """There is no old one and no new one: who decides by them would take it for nonsense of our own making."""
    known, told = store()
    heard: list[tuple[str | None, str | None]] = []
    known.subscribe(lambda key, old, new: heard.append((old, new)))
    heard.clear()
    known.spoil(("ns", "never"), "no mapping")
    assert heard == []
    known.spoil(KEY, "no mapping any more")
    assert heard == [("listed", "listed")]
    assert set(known.unreadable) == {KEY, ("ns", "never")}
    assert told == ["listed"]
