"""How a hub reconciles with a neighbor (docs/protocol.md, section 13). As the opener it asks for pages only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from tests.conformance.reference.chains import BRANCHES_MAX
from tests.conformance.reference.hub_events import Events
from tests.conformance.reference.hub_state import Link
from tests.conformance.reference.lasting import (
    PRINT_BYTES,
    ChainMessage,
    ReconEntries,
    ReconMessage,
    ReconMore,
    ReconOpen,
    ReconPage,
    ReconSymbols,
    ReconTurn,
    TreeMessage,
    WantEvents,
)
from tests.conformance.reference.messages import Message
from tests.conformance.reference.mutations import Mutation
from tests.conformance.reference.sketches import ENTRY_BYTES, fingerprints, mark, symbols
from tests.conformance.reference.weather import entropy

PROTOCOL: Final = 3
PAGE_ENTRIES_MAX: Final = 33
PRINTS_MAX: Final = 4_096
ENTRIES_MAX: Final = 256
DIFFER_MAX: Final = 1_024
SYMBOLS_FIRST, SYMBOLS_LATER, SYMBOLS_MAX = 24, 8, 3_072
SILENCE_SECONDS: Final = 3.0


@dataclass(slots=True)
class Talk:
    """A session: our entries by fingerprint as they were when it began, and what the other side has shown."""

    ours: bool
    entries: dict[bytes, bytes]
    until: float
    sent: int = 0
    shown: dict[bytes, None] = field(default_factory=dict)


class Frontiers(Events):
    """One session at a time on a link."""

    def frontier(self) -> list[bytes]:
        """Every entry (R90)."""
        found = []
        for author in self.chains.authors():
            heads = self.chains.heads(author)[1]
            if self.chains.branches(author) >= BRANCHES_MAX and Mutation.EIGHT_ENTRIES not in self.mutations:
                found.append(author + bytes(ENTRY_BYTES - len(author)))
                continue
            some = heads[:1] if Mutation.ONE_HEAD in self.mutations else heads
            found += [author + incarnation.to_bytes(8, "big") + head for incarnation, head in some]
        return found

    def open_talk(self, link: Link, now: float) -> None:
        """A new neighbor: the one with the smaller id asks."""
        if self.identity.author < link.peer.author:
            salt = entropy(8)
            link.talk = self._talk(salt, self.identity.author, link.peer.author, now, ours=True)
            link.outbox.append(ReconOpen(self._mark(salt)))

    def on_lasting(self, link: Link, message: Message, now: float) -> None:
        """A message of sections 10, 12 or 13; nothing happens on any other."""
        if isinstance(message, TreeMessage):
            self.on_tree(link, message, now)
        elif isinstance(message, ChainMessage):
            self.on_chain(link, message)
        elif isinstance(message, ReconMessage):
            self._on_recon(link, message, now)

    def _on_recon(self, link: Link, message: ReconMessage, now: float) -> None:
        if link.talk is not None and now >= link.talk.until:
            link.talk = None
        talk = link.talk
        if isinstance(message, ReconOpen):
            self._on_open(link, message, now)
        elif talk is None or not self._go_on(link, talk, message):
            link.talk = None
            if Mutation.RECON_CLOSES in self.mutations:
                link.bye = PROTOCOL
        elif link.talk is talk:
            talk.until = now + SILENCE_SECONDS

    def _mark(self, salt: bytes) -> bytes:
        return mark(self.frontier(), bytes(8) if Mutation.UNSALTED_MARK in self.mutations else salt)

    def _talk(self, salt: bytes, opener: bytes, answerer: bytes, now: float, *, ours: bool) -> Talk:
        entries = self.frontier()
        names = (answerer, opener) if Mutation.SWAPPED_NAMES in self.mutations else (opener, answerer)
        prints = fingerprints(entries, salt, *names)
        return Talk(ours, dict(zip(prints, entries, strict=True)), now + SILENCE_SECONDS)

    def _on_open(self, link: Link, message: ReconOpen, now: float) -> None:
        opened = link.talk is not None and link.talk.ours
        if opened and self.identity.author < link.peer.author and Mutation.TWO_SESSIONS not in self.mutations:
            return
        salt = message.mark[:8]
        link.talk = None
        if self._mark(salt) == message.mark and Mutation.ANSWERS_EQUAL not in self.mutations:
            return
        link.talk = self._talk(salt, link.peer.author, self.identity.author, now, ours=False)
        if len(link.talk.entries) <= PAGE_ENTRIES_MAX:
            link.outbox.append(self._page(link.talk, None))
        else:
            self._send_symbols(link, link.talk)

    def _go_on(self, link: Link, talk: Talk, message: ReconMessage) -> bool:
        """Whether the message belongs here; it has then been answered."""
        match message:
            case ReconMore() if not talk.ours and 0 < talk.sent < _symbols_limit(talk):
                self._send_symbols(link, talk)
            case ReconTurn(after) if not talk.ours:
                link.outbox.append(self._page(talk, after))
            case ReconEntries(entries, asked, last) if not talk.ours:
                return self._exchange(link, talk, entries, asked, last=last)
            case ReconSymbols() if talk.ours:
                link.outbox.append(ReconTurn(None))
            case ReconPage(prints, last) if talk.ours:
                self._on_page(link, talk, prints, last=last)
            case ReconEntries(entries) if talk.ours:
                self._learn_of(link, entries)
            case _:
                return False
        return True

    def _send_symbols(self, link: Link, talk: Talk) -> None:
        """R94."""
        count = SYMBOLS_LATER if talk.sent == SYMBOLS_FIRST else talk.sent or SYMBOLS_FIRST
        if Mutation.SYMBOLS_AT_ONCE in self.mutations:
            count = 3 * SYMBOLS_LATER + 1
        count = min(count, SYMBOLS_MAX, _symbols_limit(talk) - talk.sent)
        cells = symbols(list(talk.entries), talk.sent + count)[talk.sent :]
        talk.sent += count
        link.outbox.append(ReconSymbols(len(talk.entries), b"".join(cells)))

    def _page(self, talk: Talk, after: bytes | None) -> ReconPage:
        if Mutation.PAGES_FROM_THE_FIRST in self.mutations:
            after = None
        prints = sorted(one for one in talk.entries if after is None or one > after)
        return ReconPage(b"".join(prints[:PRINTS_MAX]), len(prints) <= PRINTS_MAX)

    def _exchange(self, link: Link, talk: Talk, entries: bytes, asked: bytes, *, last: bool) -> bool:
        """R96, the answerer."""
        found = [talk.entries.get(one) for one in _parts(asked, PRINT_BYTES)]
        given = [entry for entry in found if entry is not None]
        if len(given) < len(found) or not (entries or asked):
            return False
        if Mutation.ENTRIES_KEPT not in self.mutations:
            self._send_entries(link, given, [])
        self._learn_of(link, entries)
        if last:
            link.talk = None
        return True

    def _on_page(self, link: Link, talk: Talk, prints: bytes, *, last: bool) -> None:
        """R96, the opener."""
        page = _parts(prints, PRINT_BYTES)
        talk.shown |= dict.fromkeys(page)
        if not last and page:
            link.outbox.append(ReconTurn(page[-1]))
            return
        mine = [entry for one, entry in talk.entries.items() if one not in talk.shown][:DIFFER_MAX]
        theirs = [one for one in talk.shown if one not in talk.entries][:DIFFER_MAX]
        self._send_entries(link, mine, theirs)

    def _send_entries(self, link: Link, entries: list[bytes], asked: list[bytes]) -> None:
        parts = [entries[at : at + ENTRIES_MAX] for at in range(0, len(entries), ENTRIES_MAX)] or (
            [[]] if asked else []
        )
        for number, part in enumerate(parts):
            wanted = b"" if number else b"".join(asked)
            link.outbox.append(ReconEntries(b"".join(part), wanted, number == len(parts) - 1))

    def _learn_of(self, link: Link, entries: bytes) -> None:
        """Somebody holds these: ask for what is missing."""
        unknown = [
            entry for entry in _parts(entries, ENTRY_BYTES) if entry[-32:] not in self.chains.kept and any(entry[32:])
        ]
        for author in dict.fromkeys(entry[:32] for entry in unknown):
            link.outbox.append(WantEvents((self.chains.heads(author),)))


def _symbols_limit(talk: Talk) -> int:
    return max(32, min(3 * len(talk.entries) // 8, 4_096))


def _parts(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]
