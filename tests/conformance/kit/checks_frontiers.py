"""Checks of reconciling: R84 and R90 to R98. They run alone: what the hub holds must not change while it is compared.

We are the opener and have a smaller author id than the hub, so that our session counts (R98), except where it must
not. What the hub holds is learned first, by a session in which everything is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from tests.conformance.kit.events import Told, after, must_hold, story, tell
from tests.conformance.kit.peers import Peer
from tests.conformance.kit.registry import check
from tests.conformance.kit.results import Failed, Untestable
from tests.conformance.kit.workbench import QUIET_SECONDS, Kit
from tests.conformance.reference.keystates import Identity
from tests.conformance.reference.lasting import (
    PRINT_BYTES,
    SYMBOL_BYTES,
    LastingMessage,
    ReconEntries,
    ReconMore,
    ReconOpen,
    ReconPage,
    ReconSymbols,
    ReconTurn,
    WantEvents,
)
from tests.conformance.reference.messages import Keys
from tests.conformance.reference.sketches import ENTRY_BYTES, fingerprints, mark, symbols
from tests.conformance.reference.weather import entropy

M = TypeVar("M", bound=LastingMessage)
PAGE_ENTRIES_MAX: Final = 33
ASKED_MAX: Final = 1_024
SYMBOLS_FIRST, SYMBOLS_LATER = 24, 8
RECON: Final = (ReconOpen, ReconSymbols, ReconMore, ReconTurn, ReconPage, ReconEntries)


# --- sessions of ours -----------------------------------------------------------------------------------------------


def _beside(kit: Kit, *, below: bool) -> Identity:
    """An author whose id is below, or above, that of the hub."""
    (hub,) = kit.once("the hub's author", lambda: [_author_of(kit)])
    while ((identity := kit.identity()).author < hub) != below:
        pass
    return identity


def _author_of(kit: Kit) -> bytes:
    with kit.link() as peer:
        return peer.hub


@contextmanager
def _opener(kit: Kit) -> Iterator[Peer]:
    """A link on which our sessions count."""
    with kit.link(_beside(kit, below=True)) as peer:
        yield peer


def _next(peer: Peer, kind: type[M], since: int, what: str) -> M:
    """The answer in a session, which must be of this kind."""
    arrival = peer.wait_any(lambda message: isinstance(message, RECON), since=since)
    if arrival is None or not isinstance(arrival.message, kind):
        came = "nothing" if arrival is None else type(arrival.message).__name__
        raise Failed(f"{what} was answered with {came}, not with {kind.__name__}")
    return arrival.message


def _open(peer: Peer) -> tuple[bytes, ReconPage | ReconSymbols]:
    """Open a session under a mark that is nobody's: its salt and the answer."""
    salt, since = entropy(8), peer.mark()
    peer.send(ReconOpen(salt + entropy(8)))
    arrival = peer.wait_any(lambda message: isinstance(message, RECON), since=since)
    if arrival is None or not isinstance(arrival.message, ReconPage | ReconSymbols):
        raise Failed("RECON_OPEN of another mark was answered with neither RECON_PAGE nor RECON_SYMBOLS")
    return salt, arrival.message


def _page(peer: Peer, after_this: bytes | None) -> ReconPage:
    since = peer.mark()
    peer.send(ReconTurn(after_this))
    return _next(peer, ReconPage, since, "RECON_TURN")


def _parts(packed: bytes, size: int) -> list[bytes]:
    return [packed[at : at + size] for at in range(0, len(packed), size)]


def _all_prints(peer: Peer, answer: ReconPage | ReconSymbols) -> list[bytes]:
    """Every fingerprint of the hub's, page by page."""
    page = answer if isinstance(answer, ReconPage) else _page(peer, None)
    found = _parts(page.fingerprints, PRINT_BYTES)
    while not page.last:
        page = _page(peer, found[-1])
        found += _parts(page.fingerprints, PRINT_BYTES)
    return found


def _ask(peer: Peer, asked: list[bytes], given: tuple[bytes, ...] = ()) -> list[bytes]:
    """Give entries, and get those asked for."""
    since = peer.mark()
    peer.send(ReconEntries(b"".join(given), b"".join(asked), True))
    found: list[bytes] = []
    while len(found) < len(asked):
        answer = _next(peer, ReconEntries, since, "RECON_ENTRIES that asks for some")
        if answer.asked or not answer.entries:
            raise Failed("entries that were asked for came with questions, or not at all")
        found += _parts(answer.entries, ENTRY_BYTES)
        since = peer.mark()
    return found


def _frontier(kit: Kit) -> list[bytes]:
    """All that the hub holds now."""
    with _opener(kit) as peer:
        _, answer = _open(peer)
        prints = _all_prints(peer, answer)
        if len(prints) > ASKED_MAX:
            raise Untestable(f"the hub holds {len(prints)} entries, too many to be asked for in one session")
        return _ask(peer, prints) if prints else []


def _store(kit: Kit, count: int = 1) -> list[Told]:
    """Events of new authors that the hub has stored."""
    authors = [kit.identity() for _ in range(count)]
    told = [tell(author, content=story(b"remember")) for author in authors]
    with kit.link() as peer:
        for author, each in zip(authors, told, strict=True):
            peer.send(Keys(author.key_state), each.message)
        for author, each in zip(authors, told, strict=True):
            must_hold(peer, author, each)
    return told


def _crowd(kit: Kit) -> None:
    """See to it that the hub holds more than one page of entries."""
    kit.once("a crowd", lambda: [told.name for told in _store(kit, PAGE_ENTRIES_MAX + 1)])


# --- frontiers ------------------------------------------------------------------------------------------------------


@check("R90", alone=True)
def frontiers_hold_every_head(kit: Kit) -> str:
    """A chain of two events and a fork: one entry, and two."""
    author, other = kit.identity(), kit.identity()
    first, root = tell(author, content=story(b"first")), tell(other, content=story(b"root"))
    second = after(author, first, story(b"second"))
    left, right = after(other, root, story(b"left")), after(other, root, story(b"right"))
    with kit.link() as peer:
        peer.send(Keys(author.key_state), first.message, second.message)
        peer.send(Keys(other.key_state), root.message, left.message, right.message)
        must_hold(peer, author, second)
        must_hold(peer, other, left, right)
    entries = _frontier(kit)
    for who, wanted in ((author, [second]), (other, [left, right])):
        if sorted(entry for entry in entries if entry[:32] == who.author) != sorted(told.entry for told in wanted):
            raise Failed(f"the frontier does not hold the {len(wanted)} heads of an author, as they are")
    return f"{len(entries)} entries, among them the head of a chain and both heads of a fork"


@check("R84", alone=True)
def eight_branches_are_one_entry(kit: Kit) -> str:
    """Of nine branches eight are kept, and in the frontier they are one entry without a head, which we may give too."""
    author = kit.identity()
    root = tell(author, content=story(b"root"))
    branches = [after(author, root, story(b"%d" % number)) for number in range(9)]
    with kit.link() as peer:
        peer.send(Keys(author.key_state), root.message)
        peer.send(*(told.message for told in branches[:8]))
        must_hold(peer, author, *branches[:8])
        peer.send(branches[8].message)
        must_hold(peer, author, *branches[:8])
    own = [entry for entry in _frontier(kit) if entry[:32] == author.author]
    if own != [author.author + bytes(40)]:
        raise Failed(f"the frontier holds {len(own)} entries of an author with eight branches, not one without a head")
    with _opener(kit) as peer:
        _open(peer)
        peer.send(ReconEntries(kit.identity().author + bytes(40), b"", True))
        if not peer.alive():
            raise Failed("an entry of incarnation 0 and 32 zero bytes closed the link")
    return "the ninth branch was refused; eight were one entry of incarnation 0, and such an entry kept the link"


@check("R91", alone=True)
def marks_are_sums_of_entries(kit: Kit) -> str:
    """The mark of what the hub holds is its own, another is not."""
    _store(kit)
    entries = _frontier(kit)
    for name, some, silent in (("all entries", entries, True), ("all but one", entries[1:], False)):
        with _opener(kit) as peer:
            peer.send(ReconOpen(mark(some, entropy(8))))
            answered = peer.wait_any(lambda message: isinstance(message, RECON), QUIET_SECONDS if silent else None)
            if (answered is None) != silent:
                raise Failed(f"the mark of {name} was {'' if answered else 'not '}answered")
    return f"silence for the mark of all {len(entries)} entries, an answer for that of all but one"


@check("R92", alone=True)
def equal_frontiers_are_met_with_silence(kit: Kit) -> str:
    """A mark of our own is answered with a page or with symbols, the hub's own with nothing."""
    _store(kit)
    entries = _frontier(kit)
    with _opener(kit) as peer:
        _, answer = _open(peer)
        if isinstance(answer, ReconPage) != (len(entries) <= PAGE_ENTRIES_MAX):
            raise Failed(f"{len(entries)} entries were answered with {type(answer).__name__}")
        if isinstance(answer, ReconPage) and not answer.last:
            raise Failed("RECON_PAGE in answer to RECON_OPEN was not the last")
    with _opener(kit) as peer:
        peer.send(ReconOpen(mark(entries, entropy(8))))
        if peer.wait_any(lambda message: isinstance(message, RECON), QUIET_SECONDS) is not None:
            raise Failed("RECON_OPEN of the hub's own mark was answered")
    return f"{type(answer).__name__} for another mark, silence for its own"


@check("R93", alone=True)
def fingerprints_and_symbols(kit: Kit) -> str:
    """What the hub shows of its frontier is what the document makes of it."""
    _crowd(kit)
    entries = _frontier(kit)
    with _opener(kit) as peer:
        salt, answer = _open(peer)
        wanted = fingerprints(entries, salt, peer.identity.author, peer.hub)
        if not isinstance(answer, ReconSymbols):
            raise Failed(f"{len(entries)} entries were answered with one page")
        count = len(answer.symbols) // SYMBOL_BYTES
        if _parts(answer.symbols, SYMBOL_BYTES) != symbols(wanted, count):
            raise Failed("the symbols are not those of the hub's entries")
        if _all_prints(peer, answer) != sorted(wanted):
            raise Failed("the fingerprints are not those of the hub's entries")
    return f"{count} symbols and {len(wanted)} fingerprints were those of the entries"


@check("R94", alone=True)
def symbols_come_in_growing_numbers(kit: Kit) -> str:
    """24, then 8; the number of entries stays; then pages may be asked for."""
    _crowd(kit)
    with _opener(kit) as peer:
        _, first = _open(peer)
        if not isinstance(first, ReconSymbols):
            raise Failed("more than 33 entries were answered with one page")
        since = peer.mark()
        peer.send(ReconMore())
        more = _next(peer, ReconSymbols, since, "RECON_MORE")
        counts = [len(each.symbols) // SYMBOL_BYTES for each in (first, more)]
        if counts != [SYMBOLS_FIRST, SYMBOLS_LATER] or first.heads != more.heads:
            raise Failed(f"{counts[0]} and {counts[1]} symbols of {first.heads} and {more.heads} entries")
    return f"{counts[0]} symbols, then {counts[1]}, of {first.heads} entries"


@check("R95", alone=True)
def pages_go_on_after_a_fingerprint(kit: Kit) -> str:
    """All fingerprints in ascending order, and those after one of them."""
    _crowd(kit)
    with _opener(kit) as peer:
        _, answer = _open(peer)
        prints = _all_prints(peer, answer)
        if prints != sorted(set(prints)):
            raise Failed("fingerprints do not ascend")
        middle = prints[len(prints) // 2]
        page = _page(peer, middle)
        if _parts(page.fingerprints, PRINT_BYTES) != [one for one in prints if one > middle] or not page.last:
            raise Failed("RECON_TURN with a fingerprint was not answered with all above it")
    return f"{len(prints)} fingerprints in ascending order, and the upper half of them after the middle one"


# --- sessions -------------------------------------------------------------------------------------------------------


@check("R96", alone=True)
def entries_are_given_and_asked_for(kit: Kit) -> str:
    """We ask for one entry and give one of an event that the hub lacks, which it then asks for."""
    (stored,) = _store(kit)
    author = _beside(kit, below=True)
    with kit.link(author) as peer:
        salt, answer = _open(peer)
        prints = _all_prints(peer, answer)
        wanted = fingerprints([stored.entry], salt, author.author, peer.hub)
        if wanted[0] not in prints:
            raise Failed("an event that is stored is not in the frontier")
        news = tell(author, content=story(b"news"))
        since = peer.mark()
        if _ask(peer, wanted, (news.entry,)) != [stored.entry]:
            raise Failed("another entry came than the one that was asked for")
        asks = peer.wait(WantEvents, lambda want: any(who == author.author for who, _ in want.authors), since=since)
        if asks is None:
            raise Failed("an entry of an event that the hub lacks was given, and the event was not asked for")
        peer.send(news.message)
        must_hold(peer, author, news)
    return "the entry came; the event whose entry was given was asked for, and is held"


@check("R97", alone=True)
def what_is_wrong_ends_the_session_only(kit: Kit) -> str:
    """Messages of no session, and one that asks for what nobody has: nothing comes back, and the link stays."""
    _store(kit)
    stray = (ReconMore(), ReconTurn(None), ReconPage(b"", True), ReconEntries(b"", entropy(PRINT_BYTES), True))
    with _opener(kit) as peer:
        peer.send(*stray, ReconSymbols(7, bytes(SYMBOL_BYTES)))
        if not peer.alive():
            raise Failed("messages of no session closed the link")
        if any(isinstance(arrival.message, RECON) for arrival in list(peer.arrivals)):
            raise Failed("a message of no session was answered")
        _open(peer)
        since = peer.mark()
        peer.send(ReconEntries(b"", entropy(PRINT_BYTES), False), ReconTurn(None))
        if not peer.alive():
            raise Failed("asking for an entry that nobody has closed the link")
        if any(isinstance(arrival.message, RECON) for arrival in peer.arrivals[since:]):
            raise Failed("a session went on after an entry was asked for that nobody has")
    return "messages of no session were ignored; one that is wrong ended its session, and the link stayed"


@check("R98", alone=True)
def one_session_at_a_time(kit: Kit) -> str:
    """A neighbor above the hub's id: the hub opens, our own RECON_OPEN does not count, and its session goes on."""
    (stored,) = _store(kit)
    with kit.link(_beside(kit, below=False)) as peer:
        opened = peer.wait(ReconOpen, lambda _: True)
        if opened is None:
            raise Untestable("the hub opened no session with a new neighbor of a greater author id")
        since = peer.mark()
        peer.send(ReconOpen(entropy(16)))
        if not peer.alive():
            raise Failed("RECON_OPEN during a session of the hub's closed the link")
        if any(isinstance(arrival.message, RECON) for arrival in peer.arrivals[since:]):
            raise Failed("RECON_OPEN of the greater author id was answered while that of the smaller waited")
        peer.send(ReconPage(b"", True))
        given = _next(peer, ReconEntries, since, "RECON_PAGE of no fingerprints")
        entries = _parts(given.entries, ENTRY_BYTES)
        while not given.last:
            since = peer.mark()
            given = _next(peer, ReconEntries, since, "RECON_ENTRIES that were not the last")
            entries += _parts(given.entries, ENTRY_BYTES)
        if stored.entry not in entries or mark(entries, opened.mark[:8]) != opened.mark:
            raise Failed("the entries given to somebody who has none are not those of the mark")
    return f"our RECON_OPEN was left alone; the hub's session went on to give all {len(entries)} entries of its mark"
