"""The two sides of one session. The opener asks and decodes; the answerer only gives, so that it need not trust.

Flow: the mark; symbols until the opener can decode, or pages of sorted fingerprints where more than a quarter differs
or all of them are smaller than the first symbols; then the entries that the answerer lacks together with the
fingerprints of those that the opener lacks; then these entries. Ten differences take two round trips.
Source: design decision 19; the order of the parts is ours.
Invariants: each message that is taken brings the session on (more symbols, a later page, entries that were asked for)
or raises; what is kept is bounded by our own frontier and ``differ_max``; neither side is told anything but entries.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from protocol import limits
from protocol.errors import Reason, RemoteProtocolError
from protocol.ids import AuthorId
from protocol.reconcile import sketch
from protocol.reconcile.frontier import Frontier
from protocol.reconcile.values import (
    SYMBOLS_FIRST,
    SYMBOLS_LATER,
    ReconcileConfig,
    fits_a_page,
    symbols_limit,
)
from protocol.wire.reconciling import (
    ENTRY_BYTES,
    FINGERPRINT_BYTES,
    SALT_BYTES,
    ReconcileMessage,
    ReconEntries,
    ReconMore,
    ReconOpen,
    ReconPage,
    ReconSymbols,
    ReconTurn,
    split,
)


class Stage(Enum):
    """What the opener waits for."""

    OPENED = 0
    SYMBOLS = 1
    PAGES = 2
    ENTRIES = 3
    DONE = 4


@dataclass(frozen=True, slots=True)
class Step:
    """What a message leads to: messages to send, and packed entries that the other side holds and we do not."""

    messages: Sequence[ReconcileMessage] = ()
    learned: Sequence[bytes] = ()


def _forged(detail: str) -> RemoteProtocolError:
    return RemoteProtocolError(Reason.RECONCILE_FORGED, detail)


def _unexpected(message: ReconcileMessage) -> RemoteProtocolError:
    return RemoteProtocolError(Reason.RECONCILE_UNEXPECTED, type(message).__name__)


def _bundles(entries: Sequence[bytes], asked: Sequence[bytes], *, last: bool) -> list[ReconcileMessage]:
    """As few messages as hold all this; what is asked for goes with the first."""
    size = limits.ENTRIES_MAX
    parts = [entries[at : at + size] for at in range(0, len(entries), size)] or [()]
    return [
        ReconEntries(b"".join(part), b"" if number else b"".join(asked), last and number == len(parts) - 1)
        for number, part in enumerate(parts)
    ]


class _View:
    """A frontier as it was when a session needed it, and its words under the key of the session."""

    __slots__ = ("_by_word", "_sorted", "entries", "words")

    def __init__(self, frontier: Frontier, key: bytes) -> None:
        self.entries = tuple(frontier)
        self.words = sketch.words(self.entries, key)
        self._by_word: dict[int, bytes] | None = None
        self._sorted: sketch.Words[int] | None = None

    @property
    def by_word(self) -> dict[int, bytes]:
        """Entry of each word."""
        if self._by_word is None:
            self._by_word = dict(zip(self.words, self.entries, strict=True))
        return self._by_word

    @property
    def ascending(self) -> sketch.Words[int]:
        """The words in the order of pages."""
        if self._sorted is None:
            self._sorted = sketch.Words("Q", sorted(self.words))
        return self._sorted


class Opening:
    """The side that began."""

    def __init__(
        self, frontier: Frontier, salt: bytes, author: AuthorId, peer: AuthorId, config: ReconcileConfig
    ) -> None:
        self._frontier = frontier
        self._key = sketch.session_key(salt, author, peer)
        self._config = config
        self._rounds = 0
        self._decoder: sketch.Decoder | None = None
        self._cached: _View | None = None
        self._after = -1
        self._mine: list[int] = []
        self._theirs: list[int] = []
        self._waiting: dict[int, None] = {}
        self.stage = Stage.OPENED
        self.heads = 0
        """Entries of the other side, once it has said so."""
        self.more = False
        """Whether more differs than one session takes."""
        self.first = ReconOpen(frontier.mark(salt))

    @property
    def _view(self) -> _View:
        if self._cached is None:
            self._cached = _View(self._frontier, self._key)
        return self._cached

    def receive(self, message: ReconcileMessage) -> Step:
        """Go on with what the answerer says.

        Raises:
            RemoteProtocolError: the session is over; nothing was learned from this message.
        """
        self._rounds += 1
        if self._rounds > self._config.rounds_max:
            raise RemoteProtocolError(Reason.RECONCILE_ENDLESS, f"{self._rounds} messages")
        match self.stage, message:
            case ((Stage.OPENED | Stage.SYMBOLS), ReconSymbols(heads, packed)):
                return self._symbols(heads, sketch.unpack(packed))
            case Stage.OPENED, ReconPage(packed, True):
                return self._page(packed, last=True)
            case Stage.PAGES, ReconPage(packed, last):
                return self._page(packed, last=last)
            case Stage.ENTRIES, ReconEntries(entries, b"", _):
                return self._entries(split(entries, ENTRY_BYTES))
            case _:
                raise _unexpected(message)

    def _symbols(self, heads: int, cells: list[int]) -> Step:
        own = len(self._view.entries)
        if self._decoder is None:
            self.heads = heads
            if 4 * abs(heads - own) > max(heads, own):  # a quarter differs at least
                return self._turn()
            self._decoder = sketch.Decoder(self._view.words)
            self.stage = Stage.SYMBOLS
        limit = symbols_limit(heads)
        if heads != self.heads or len(self._decoder) + len(cells) > limit:
            raise _forged("symbols")
        if self._decoder.extend(cells):
            self._mine, self._theirs = self._decoder.difference(self._view.by_word)
            return self._settle()
        if len(self._decoder) == limit:
            return self._turn()
        return Step([ReconMore()])

    def _turn(self) -> Step:
        self._decoder = None
        self.stage = Stage.PAGES
        after = sketch.fingerprint(self._after) if self._after >= 0 else None
        return Step([ReconTurn(after)])

    def _page(self, packed: bytes, *, last: bool) -> Step:
        page = [sketch.word(one) for one in split(packed, FINGERPRINT_BYTES)]
        if not page and not last:
            raise _forged("an empty page")
        before = self._after
        for item in page:
            if item <= before:
                raise _forged("a page out of order")
            before = item
        own = self._view.ascending
        start = bisect_right(own, self._after)
        end = len(own) if last else bisect_right(own, before)
        here, there = dict.fromkeys(own[start:end]), dict.fromkeys(page)
        self._mine += [item for item in here if item not in there]
        self._theirs += [item for item in there if item not in here]
        self._after = before
        most = self._config.differ_max
        if last or len(self._mine) >= most or len(self._theirs) >= most:
            self.more = not last
            return self._settle()
        return self._turn()

    def _settle(self) -> Step:
        """The difference is known: give what is ours, ask for what is theirs."""
        most = self._config.differ_max
        self.more |= len(self._mine) > most or len(self._theirs) > most
        by_word, urgent = self._view.by_word, self._frontier.urgent
        mine = sorted((by_word[item] for item in self._mine), key=urgent, reverse=True)[:most]
        self._waiting = dict.fromkeys(self._theirs[:most])
        self.stage = Stage.ENTRIES if self._waiting else Stage.DONE
        if not mine and not self._waiting:
            return Step()
        return Step(_bundles(mine, [sketch.fingerprint(item) for item in self._waiting], last=True))

    def _entries(self, entries: list[bytes]) -> Step:
        found = sketch.words(entries, self._key)
        if not entries or len(dict.fromkeys(found)) != len(found) or any(item not in self._waiting for item in found):
            raise _forged("entries that were not asked for")
        for item in found:
            del self._waiting[item]
        if not self._waiting:
            self.stage = Stage.DONE
        return Step(learned=entries)


class Answering:
    """The side that was asked; made only if the frontiers differ."""

    def __init__(
        self, frontier: Frontier, opened: ReconOpen, author: AuthorId, peer: AuthorId, config: ReconcileConfig
    ) -> None:
        self._frontier = frontier
        self._config = config
        self._key = sketch.session_key(opened.mark[:SALT_BYTES], peer, author)
        self._view = _View(frontier, self._key)
        self._sent = 0
        self._rounds = 0
        self._after = -2
        self._given = 0
        self._taken = 0
        self.done = False
        self.first: ReconcileMessage
        if fits_a_page(len(self._view.entries)):
            self.first = self._page(-1)
        else:
            self.first = self._symbols()

    def receive(self, message: ReconcileMessage) -> Step:
        """Go on with what the opener asks for.

        Raises:
            RemoteProtocolError: the session is over.
        """
        self._rounds += 1
        if self._rounds > self._config.rounds_max:
            raise RemoteProtocolError(Reason.RECONCILE_ENDLESS, f"{self._rounds} messages")
        match message:
            case ReconMore() if self._after == -2 and 0 < self._sent < symbols_limit(len(self._view.entries)):
                return Step([self._symbols()])
            case ReconTurn(after):
                return Step([self._page(-1 if after is None else sketch.word(after))])
            case ReconEntries(entries, asked, last):
                return self._entries(split(entries, ENTRY_BYTES), split(asked, FINGERPRINT_BYTES), last=last)
            case _:
                raise _unexpected(message)

    def _symbols(self) -> ReconcileMessage:
        """The next symbols: 24, then 8, then twice as many altogether each time."""
        heads = len(self._view.entries)
        wanted = SYMBOLS_LATER if self._sent == SYMBOLS_FIRST else self._sent or SYMBOLS_FIRST
        count = min(wanted, limits.SYMBOLS_MAX, symbols_limit(heads) - self._sent)
        cells = sketch.symbols(self._view.words, self._sent, count)
        self._sent += count
        return ReconSymbols(heads, sketch.pack(cells))

    def _page(self, after: int) -> ReconcileMessage:
        if after <= self._after:
            raise _forged("a page asked for again")
        self._after = after
        own = self._view.ascending
        start = bisect_right(own, after)
        page = own[start : start + limits.FINGERPRINTS_MAX]
        return ReconPage(b"".join(map(sketch.fingerprint, page)), start + len(page) == len(own))

    def _entries(self, entries: list[bytes], asked: list[bytes], *, last: bool) -> Step:
        by_word = self._view.by_word
        given = [by_word.get(sketch.word(one)) for one in asked]
        known = [entry for entry in given if entry is not None]
        self._given += len(given)
        self._taken += len(entries)
        most = self._config.differ_max
        if len(known) < len(given) or self._given > most or self._taken > most:
            raise _forged("entries that nobody has, or too many")
        if not entries and not given:
            raise _forged("nothing given and nothing asked for")
        self.done = last
        order = sorted(known, key=self._frontier.urgent, reverse=True)
        found = dict(zip(sketch.words(entries, self._key), entries, strict=True))
        learned = [entry for item, entry in found.items() if item not in by_word]
        return Step(_bundles(order, (), last=True) if order else (), learned)
