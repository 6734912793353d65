"""Trust as this hub's person handles it: who stands how and why, vouching, blocking (the control socket and
``meshnode trust``).

Nothing that is answered here ever leaves the hub but an attestation, sealed to its subject and the person's circle.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Literal

import trio

from meshnode.asked import Refused, named
from meshnode.clock import boot_us
from meshnode.entropy import entropy
from meshnode.stories import Pen
from protocol.effects import Event, MeetingCode, MeetingEnded
from protocol.ids import AUTHOR_BYTES, AuthorId, short
from protocol.inputs import Attest, ConfirmMeeting, Input, MeetPeer, Regard, ShowCard
from protocol.limits import CIRCLE_MAX
from protocol.trust.meeting import CARD_BYTES
from protocol.trust.values import STRENGTH_MAX, Explanation
from protocol.trust.wording import in_words

if TYPE_CHECKING:
    from meshnode.daemon import Hub

SEED_BYTES: Final = 32
MEETING_S: Final = 130.0
"""A little longer than the Node itself waits for the other person."""
CARD: Final = "TRIO-MEET-1"


class Encounters:
    """One meeting, or card that is shown, at a time: waits for the code, then for both people to have said yes."""

    def __init__(self, feed: Callable[[Input], object], pen: Pen) -> None:
        self._feed = feed
        self._pen = pen
        self._request = 0
        self._peer: AuthorId | None = None
        self._shown = False
        self._news: trio.MemorySendChannel[MeetingCode | MeetingEnded] | None = None
        self._heard: trio.MemoryReceiveChannel[MeetingCode | MeetingEnded] | None = None

    def observe(self, event: Event) -> None:
        """Listen to the Node's news."""
        if not isinstance(event, MeetingCode | MeetingEnded) or self._news is None:
            return
        if self._shown and self._peer is None and isinstance(event, MeetingCode):
            self._peer = event.peer  # who has read the card
        if event.peer == self._peer:
            self._news.send_nowait(event)

    async def begin(self, peer: AuthorId, card: bytes | None = None) -> str:
        """Meet the person of ``peer``, whose card may have been read: the code, when there is one.

        Raises:
            Refused: there is none, and why.
        """
        self._open(peer)
        self._feed(MeetPeer(self._request, peer, entropy(SEED_BYTES), card))
        return (await self._code()).code

    def show(self) -> bytes:
        """Show a card: its secret."""
        self._open(None)
        secret = entropy(CARD_BYTES)
        self._feed(ShowCard(self._request, secret, entropy(SEED_BYTES)))
        return secret

    async def read(self) -> MeetingCode:
        """Wait until somebody has read the card: who, and the code.

        Raises:
            Refused: nobody has, or none is shown.
        """
        if not self._shown:
            raise Refused("no card is shown")
        return await self._code()

    async def confirm(self, peer: AuthorId, *, same: bool) -> None:
        """Say whether the codes are the same; returns when both people have, and it is written down.

        Raises:
            Refused: the meeting came to nothing, and why.
        """
        if self._peer != peer:
            raise Refused("there is no code of a meeting with that hub to compare")
        self._feed(ConfirmMeeting(peer, same))
        news = await self._next()
        self._peer = None
        request, self._request = self._request, 0
        if isinstance(news, MeetingEnded) and not news.met:
            self._pen.forget(request)
            raise Refused(news.why)
        await self._pen.written(request)

    def _open(self, peer: AuthorId | None) -> None:
        """Whoever still waits for an older meeting is told, and its request forgotten."""
        if self._news is not None:
            self._news.close()
        self._pen.forget(self._request)
        self._news, self._heard = trio.open_memory_channel[MeetingCode | MeetingEnded](8)
        self._peer, self._shown, self._request = peer, peer is None, self._pen.expect()

    async def _code(self) -> MeetingCode:
        request = self._request
        news = await self._next()
        if isinstance(news, MeetingCode):
            return news
        self._pen.forget(request)
        raise Refused(news.why)

    async def _next(self) -> MeetingCode | MeetingEnded:
        assert self._heard is not None
        request = self._request
        try:
            with trio.fail_after(MEETING_S):
                return await self._heard.receive()
        except trio.EndOfChannel:
            raise Refused("another meeting was begun") from None
        except trio.TooSlowError:
            self._pen.forget(request)
            raise Refused("nobody has answered") from None


async def answer(hub: Hub, command: str, request: dict[str, object]) -> dict[str, object]:
    """The answer to one request whose command begins with ``trust.``."""
    try:
        match command:
            case "trust.list":
                return _list(hub)
            case "trust.why":
                return _why(hub, _author(hub, request))
            case "trust.card":
                return {"card": card(hub)}
            case "trust.vouch":
                return await _vouch(hub, request)
            case "trust.show":
                return {"card": card(hub, hub.encounters.show())}
            case "trust.read":
                read = await hub.encounters.read()
                return {"author": read.peer.hex(), "code": read.code}
            case "trust.meet":
                return await _meet(hub, request)
            case "trust.circle":
                return _circle(hub, request)
            case "trust.confirm":
                peer = _author(hub, request)
                await hub.encounters.confirm(peer, same=request.get("same") is True)
                return {"author": peer.hex(), "vouched": True}
            case "trust.block" | "trust.mute":
                return _regard(hub, _author(hub, request), command, on=request.get("on") is not False)
            case _:
                return {"error": f"unknown command {command[:64]!r}"}
    except Refused as fault:
        return {"error": str(fault)}


def _list(hub: Hub) -> dict[str, object]:
    node, now = hub.driver.node, boot_us()
    known = {author: None for author in (*node.acquaintances(), *_heard(hub)) if author != node.author}
    lines = [_line(node.explain(author, now)) for author in known]
    lines.sort(key=lambda line: (-float(str(line["value"])), str(line["author"])))
    return {"people": lines, "want_to_meet": [peer.hex() for peer in node.wishes(now)]}


def _why(hub: Hub, author: AuthorId) -> dict[str, object]:
    why = hub.driver.node.explain(author, boot_us())
    return {
        **_line(why),
        "lines": [
            {
                "source": line.source.name.lower(),
                "through": None if line.through is None else line.through.hex(),
                "voices": line.voices,
                "weight": line.weight,
                "opinion": line.opinion,
            }
            for line in why.standing.lines
        ],
        "walks": why.walks,
        "paths": [{"hubs": [hub.hex() for hub in path.hubs], "walks": path.walks} for path in why.paths],
        "words": in_words(why, short),
    }


def _line(why: Explanation) -> dict[str, object]:
    return {
        "author": why.standing.subject.hex(),
        "value": round(why.standing.value, 6),
        "attention": why.attention.name.lower(),
        "contact": why.contact,
        "blocked": why.blocked,
        "muted": why.muted,
        "proven": why.proven,
        "met": why.met,
    }


async def _meet(hub: Hub, request: dict[str, object]) -> dict[str, object]:
    shown = request.get("card")
    if isinstance(shown, str):
        peer, secret = read_card(hub, shown)
        if secret is None:
            raise Refused("this card is a badge: whoever reads it can only vouch alone")
    else:
        peer, secret = _author(hub, request), None
    return {"author": peer.hex(), "code": await hub.encounters.begin(peer, secret)}


def _circle(hub: Hub, request: dict[str, object]) -> dict[str, object]:
    node = hub.driver.node
    if "author" in request:
        author, on = _author(hub, request), request.get("on") is not False
        if on and not node.explain(author, boot_us()).contact:
            raise Refused("only somebody for whom you vouch can be in your circle")
        if on and author not in node.circle() and len(node.circle()) >= CIRCLE_MAX:
            raise Refused(f"a circle has at most {CIRCLE_MAX} people")
        hub.driver.feed(Regard(author, "circle", on))
    return {"circle": [{"author": author.hex(), "reads": reads} for author, reads in node.circle().items()]}


async def _vouch(hub: Hub, request: dict[str, object]) -> dict[str, object]:
    strength, shown = request.get("strength", STRENGTH_MAX), request.get("card")
    if not isinstance(strength, int) or isinstance(strength, bool) or not -STRENGTH_MAX <= strength <= STRENGTH_MAX:
        raise Refused(f"'strength' is a whole number from -{STRENGTH_MAX} to {STRENGTH_MAX}")
    if isinstance(shown, str):
        author, _ = read_card(hub, shown)
    elif strength > 0:
        raise Refused("vouching is done in person: with the other hub's card, or with a code that both compare")
    else:
        author = _author(hub, request)
    number = hub.pen.expect()
    circle = sum(reads for reader, reads in hub.driver.node.circle().items() if reader != author)
    hub.driver.feed(Attest(number, author, strength, entropy(SEED_BYTES)))
    name = await hub.pen.written(number)
    return {"event": name.hex(), "author": author.hex(), "strength": strength, "circle": circle}


def _regard(hub: Hub, author: AuthorId, command: str, *, on: bool) -> dict[str, object]:
    what: Literal["block", "mute"] = "block" if command == "trust.block" else "mute"
    hub.driver.feed(Regard(author, what, on))
    return _line(hub.driver.node.explain(author, boot_us()))


def card(hub: Hub, secret: bytes = b"") -> str:
    """What this hub shows to somebody who stands here, as text or in a QR code (alphanumeric mode)."""
    parts = (hub.opened.mesh.mesh_id, hub.opened.identity.author, *((secret,) if secret else ()))
    return ":".join((CARD, *(part.hex() for part in parts))).upper()


def read_card(hub: Hub, text: str) -> tuple[AuthorId, bytes | None]:
    """Whose card this is, and its secret; None on a badge.

    Raises:
        Refused: it is none, or one of another mesh.
    """
    mark, *parts = text.strip().upper().split(":")
    try:
        mesh, author, *rest = (bytes.fromhex(part) for part in parts)
    except ValueError:
        mesh, author, rest = b"", b"", []
    if mark != CARD or len(author) != AUTHOR_BYTES or [len(secret) for secret in rest] not in ([], [CARD_BYTES]):
        raise Refused(f"a card is {CARD}:MESH:AUTHOR:SECRET, as `meshnode trust card` shows it")
    if mesh != hub.opened.mesh.mesh_id:
        raise Refused("this card is of another mesh")
    return AuthorId(author), rest[0] if rest else None


def _heard(hub: Hub) -> list[AuthorId]:
    statistics = hub.statistics()
    return [*(line.peer for line in statistics.links), *(line.author for line in statistics.authors)]


def _author(hub: Hub, request: dict[str, object]) -> AuthorId:
    known = dict.fromkeys((*hub.driver.node.acquaintances(), *_heard(hub)))
    pairs = ((author, author) for author in known)
    return named(request.get("author"), pairs, "hub", "hubs", "nothing is known of a hub")
