"""Stories as this hub's person handles them: tell, list, show, withdraw (the control socket and ``meshnode story``).

The Node says which stories are held and which may be shown; their words are read from the store only when asked for.
Invariant: a story is said to be told only when it is signed and on the disk.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from meshnode.asked import Refused, named
from meshnode.clock import utc_ms
from meshnode.entropy import entropy
from meshnode.storage.database import open_for_reading
from meshnode.storage.rows import read_content
from protocol.effects import Event, EventWritten, WriteRefused
from protocol.errors import ConfigError, DecodeError, StoreError
from protocol.ids import EventId
from protocol.inputs import WriteEvent
from protocol.limits import SALT_BYTES
from protocol.statistics import EventStatistics
from protocol.wire.contents import Story, decode_story, encode_story, encode_withdrawal
from protocol.wire.events import FOR_MESH, FOR_SELF, STORY, WITHDRAWAL

if TYPE_CHECKING:
    from meshnode.daemon import Hub

AUDIENCES: Final = {"mesh": FOR_MESH, "self": FOR_SELF}
WAIT_S: Final = 30.0
"""Longer than a hub that was started again asks others for its own last word before it signs."""
DAY_S: Final = 86_400
LISTED_MAX: Final = 1_000
LISTED_LETTERS: Final = 500
"""So much of each story is in the list: whole, a few long ones would be more than an answer may have."""


_Answer = tuple[
    trio.MemorySendChannel[EventWritten | WriteRefused], trio.MemoryReceiveChannel[EventWritten | WriteRefused]
]


class Pen:
    """Gives every write a number, and tells whoever waits for it how it ended."""

    def __init__(self, feed: Callable[[WriteEvent], object]) -> None:
        self._feed = feed
        self._count = 0
        self._waiting: dict[int, _Answer] = {}

    def observe(self, event: Event) -> None:
        """Listen to the Node's news."""
        if isinstance(event, EventWritten | WriteRefused):
            waiting = self._waiting.get(event.request)
            if waiting is not None:
                waiting[0].send_nowait(event)

    async def write(self, kind: int, content: bytes, *, audience: int = FOR_MESH, expires: int = 0) -> EventId:
        """Add an event to this hub's own chain; returns when it is on the disk.

        Raises:
            Refused: it was not added, or nothing is known of it after ``WAIT_S``.
        """
        request = self.expect()
        self._feed(WriteEvent(request, kind, entropy(SALT_BYTES), content, audience, expires))
        return await self.written(request)

    def expect(self) -> int:
        """The number of a request that is about to be made; whoever takes one must wait for :meth:`written`."""
        self._count += 1
        self._waiting[self._count] = trio.open_memory_channel[EventWritten | WriteRefused](1)
        return self._count

    def forget(self, request: int) -> None:
        """Nothing was asked for under this number after all."""
        self._waiting.pop(request, None)

    async def written(self, request: int, wait_s: float = WAIT_S) -> EventId:
        """Returns when what was asked for under this number is on the disk.

        Raises:
            Refused: as :meth:`write`.
        """
        try:
            with trio.fail_after(wait_s):
                ended = await self._waiting[request][1].receive()
        except trio.TooSlowError:
            raise Refused(
                "nothing is stored yet: this hub still asks others for its own last word, or its disk is busy; "
                "look with `meshnode story list` before telling it again"
            ) from None
        finally:
            self._waiting.pop(request, None)
        if isinstance(ended, WriteRefused):
            raise Refused(ended.detail or ended.reason.value)
        return ended.event.id


async def answer(hub: Hub, command: str, request: dict[str, object]) -> dict[str, object]:
    """The answer to one request whose command begins with ``story.``."""
    try:
        match command:
            case "story.tell":
                return await _tell(hub, request)
            case "story.list":
                return await _list(hub)
            case "story.show":
                return await _show(hub, request)
            case "story.withdraw":
                return await _withdraw(hub, request)
            case _:
                return {"error": f"unknown command {command[:64]!r}"}
    except (Refused, ConfigError, StoreError) as fault:
        return {"error": str(fault)}


async def _tell(hub: Hub, request: dict[str, object]) -> dict[str, object]:
    text, language = request.get("text"), request.get("language", "")
    audience, days = request.get("audience", "mesh"), request.get("days")
    if not isinstance(text, str) or not isinstance(language, str):
        raise Refused("story.tell needs texts 'text' and 'language'")
    if audience == "circle":
        raise Refused("there are no circles yet: choose 'mesh' or 'self'")
    if not isinstance(audience, str) or audience not in AUDIENCES:
        raise Refused("a story is for 'mesh' or 'self'")
    try:
        content = encode_story(Story(text, language))
    except UnicodeEncodeError as fault:  # JSON and a command line can hold halves of characters
        raise Refused("these words are not Unicode text") from fault
    name = await hub.pen.write(STORY, content, audience=AUDIENCES[audience], expires=_expires(hub, days))
    return {"event": name.hex(), "audience": audience}


def _expires(hub: Hub, days: object) -> int:
    if days is None:
        return 0
    if not isinstance(days, int | float) or not 0 < days <= 36_500:
        raise Refused("'days' is a number above 0, at most 36500")
    if not hub.statistics().date_known:
        raise Refused("this hub does not know the date, so it cannot say when a story ends")
    return utc_ms() // 1_000 + round(days * DAY_S)


async def _list(hub: Hub) -> dict[str, object]:
    held = sorted(hub.told(STORY), key=lambda one: (one.utc_ms or 0, one.event))[-LISTED_MAX:]
    words = await _words(hub.store.path, [one.event for one in held if one.state == "here"], LISTED_LETTERS)
    return {"stories": [_line(one, words.get(one.event), hub) for one in held]}


async def _show(hub: Hub, request: dict[str, object]) -> dict[str, object]:
    one = _find(hub, request)
    words = await _words(hub.store.path, [one.event]) if one.state == "here" else {}
    return {"story": _line(one, words.get(one.event), hub)}


async def _withdraw(hub: Hub, request: dict[str, object]) -> dict[str, object]:
    one = _find(hub, request)
    if one.author != hub.opened.identity.author:
        raise Refused("only who has told a story can withdraw it")
    if one.state == "erased":
        raise Refused("it was withdrawn already, or has expired")
    await hub.pen.write(WITHDRAWAL, encode_withdrawal((one.event,)))
    return {"withdrawn": one.event.hex()}


def _find(hub: Hub, request: dict[str, object]) -> EventStatistics:
    known = ((one.event, one) for one in hub.told(STORY))
    return named(request.get("event"), known, "story", "stories", "no story begins with")


def _line(one: EventStatistics, words: Story | None, hub: Hub) -> dict[str, object]:
    audiences = {number: name for name, number in AUDIENCES.items()}
    return {
        "event": one.event.hex(),
        "author": one.author.hex(),
        "own": one.author == hub.opened.identity.author,
        "utc_ms": one.utc_ms,
        "audience": audiences.get(one.audience, str(one.audience)),
        "expires_utc_s": one.expires or None,
        "state": "unreadable" if one.state == "here" and words is None else one.state,
        "language": None if words is None else words.language,
        "text": None if words is None else words.text,
    }


async def _words(path: Path, names: list[EventId], letters: int | None = None) -> dict[EventId, Story]:
    return await trio.to_thread.run_sync(_read_words, path, names, letters) if names else {}


def _read_words(path: Path, names: list[EventId], letters: int | None) -> dict[EventId, Story]:
    """The beginning of each; one that is no story, which anybody can sign, is left out and hides no other."""
    found: dict[EventId, Story] = {}
    try:
        with closing(open_for_reading(path)) as connection:
            for name in names:
                content = read_content(connection, name)
                if content is not None:
                    with suppress(DecodeError):
                        story = decode_story(content)
                        found[name] = Story(story.text[:letters], story.language)
    except sqlite3.Error as fault:
        raise StoreError(f"the stories could not be read: {fault}") from fault
    return found
