"""Sessions between two hubs: what each learns, in how many messages and bytes, and when they begin."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise

import pytest

from protocol import limits
from protocol.clock import SECOND
from protocol.effects import SetTimer
from protocol.errors import Reason
from protocol.ids import AuthorId, EventId
from protocol.reconcile.reconciler import Reconciler
from protocol.reconcile.values import (
    Ended,
    Fault,
    Learned,
    Outcome,
    ReconcileConfig,
    ReconcileEffect,
    Tell,
)
from protocol.rng import Rng
from protocol.wire import reconciling as wire
from protocol.wire.codec import decode, encode
from protocol.wire.reconciling import Entry, ReconcileMessage

ADA, BEN = AuthorId(b"a" * 32), AuthorId(b"b" * 32)


def entry(number: int, head: int = 0) -> Entry:
    """The entry of one of many authors."""
    author = blake2b(b"author %d" % number, digest_size=32).digest()
    return Entry(AuthorId(author), 1, EventId(blake2b(b"%d %d" % (number, head), digest_size=32).digest()))


def travelled(message: ReconcileMessage) -> ReconcileMessage:
    """What the other side reads; the encoding is canonical."""
    item = decode(encode(wire.to_value(message)))
    assert isinstance(item, tuple)
    kind = item[0]
    assert isinstance(kind, int)
    arity, parse = wire.PARSERS[kind]
    assert len(item) == arity
    return parse(item)


@dataclass
class Pair:
    """Two hubs and one link, on which messages arrive in order and at once."""

    common: int
    mine: list[Entry] = field(default_factory=list)
    theirs: list[Entry] = field(default_factory=list)
    config: ReconcileConfig = field(default_factory=ReconcileConfig)
    keep: bool = False  # what is learned comes at once, and is held
    now: int = 0

    def __post_init__(self) -> None:
        self.hubs = {
            one: Reconciler(one, self.config, Rng(number), bytes([number]) * 16)
            for number, one in enumerate((ADA, BEN))
        }
        shared = [entry(number) for number in range(self.common)]
        self.hubs[ADA].changed((), [(one, False) for one in shared + self.mine])
        self.hubs[BEN].changed((), [(one, False) for one in shared[::-1] + self.theirs])
        self.said: list[tuple[AuthorId, ReconcileMessage]] = []
        self.learned: dict[AuthorId, list[Entry]] = {ADA: [], BEN: []}
        self.ended: list[tuple[AuthorId, Outcome]] = []
        self.faults: list[tuple[AuthorId, Reason]] = []
        self.wakes: dict[AuthorId, int] = {}

    def do(self, hub: AuthorId, effects: list[ReconcileEffect]) -> None:
        """Carry out effects, and all that follows."""
        other = BEN if hub == ADA else ADA
        told: list[ReconcileMessage] = []
        for effect in effects:
            match effect:
                case Tell(_, message):
                    told.append(message)
                case Learned(_, entries):
                    self.learned[hub] += entries
                    if self.keep:
                        self.hubs[hub].changed((), [(one, False) for one in entries])
                case Ended(_, outcome):
                    self.ended.append((hub, outcome))
                case Fault(_, reason, _):
                    self.faults.append((hub, reason))
                case SetTimer(_, at):
                    assert at > self.now
                    self.wakes[hub] = at
        for message in told:
            self.said.append((hub, message))
            self.do(other, self.hubs[other].receive(hub, travelled(message), self.now))

    def link(self, first: AuthorId = ADA, *, bridge: bool = False) -> Pair:
        """Both become neighbors, ``first`` a moment earlier on its side than its messages need."""
        second = BEN if first == ADA else ADA
        effects = self.hubs[second].neighbor_up(first, self.now, bridge=bridge)
        self.do(first, self.hubs[first].neighbor_up(second, self.now, bridge=bridge))
        self.do(second, effects)
        return self

    def wait(self, seconds: float) -> Pair:
        """Let timers fire."""
        until = self.now + int(seconds * SECOND)
        while self.wakes and (due := min(self.wakes.values())) <= until:
            hub = next(one for one, at in self.wakes.items() if at == due)
            del self.wakes[hub]
            self.now = due
            self.do(hub, self.hubs[hub].timer(due))
        self.now = until
        return self

    def kinds(self) -> list[str]:
        """What was said, by name."""
        return [type(message).__name__.removeprefix("Recon") for _, message in self.said]


def test_equal_frontiers_cost_one_message_of_forty_bytes_with_its_frame() -> None:
    pair = Pair(common=300).link().wait(4)
    assert pair.kinds() == ["Open"]
    assert 2 + 16 + len(encode((wire.to_value(pair.said[0][1]),))) <= 40
    assert pair.ended == [(ADA, Outcome.EQUAL)]
    assert pair.faults == []


def test_ten_differences_are_known_after_three_messages_and_held_after_four() -> None:
    mine, theirs = [entry(1_000 + n) for n in range(5)], [entry(2_000 + n) for n in range(5)]
    pair = Pair(1_000, mine, theirs).link()
    assert pair.kinds() == ["Open", "Symbols", "Entries", "Entries"]
    assert sorted(one.head for one in pair.learned[ADA]) == sorted(one.head for one in theirs)
    assert sorted(one.head for one in pair.learned[BEN]) == sorted(one.head for one in mine)
    assert pair.ended == [(ADA, Outcome.FOUND)]


def test_a_hundred_differences_take_more_symbols_and_all_are_found() -> None:
    mine, theirs = [entry(1_000 + n) for n in range(70)], [entry(2_000 + n) for n in range(30)]
    pair = Pair(1_000, mine, theirs).link()
    assert pair.kinds().count("More") >= 2
    assert (len(pair.learned[ADA]), len(pair.learned[BEN])) == (30, 70)


def test_a_small_frontier_is_sent_as_one_page() -> None:
    pair = Pair(20, [entry(1_000)], [entry(2_000)]).link()
    assert pair.kinds() == ["Open", "Page", "Entries", "Entries"]
    assert (pair.learned[ADA], pair.learned[BEN]) == ([entry(2_000)], [entry(1_000)])


def test_above_a_quarter_different_the_frontier_is_paged() -> None:
    theirs = [entry(5_000 + n) for n in range(150)]
    pair = Pair(300, [], theirs).link()
    assert pair.kinds()[:4] == ["Open", "Symbols", "Turn", "Page"]
    assert len(pair.learned[ADA]) == 150
    mine = [entry(7_000 + n) for n in range(150)]
    pair = Pair(300, mine, theirs).link()
    assert "Turn" in pair.kinds()
    assert (len(pair.learned[ADA]), len(pair.learned[BEN])) == (150, 150)


def test_a_hub_that_has_nothing_gets_everything_session_by_session() -> None:
    theirs = [entry(n) for n in range(500)]
    config = ReconcileConfig(every_us=3_600 * SECOND, differ_max=200)
    pair = Pair(0, [], theirs, config, keep=True).link().wait(20)
    assert sorted(one.head for one in pair.learned[ADA]) == sorted(one.head for one in theirs)
    assert pair.kinds().count("Open") == 3
    assert pair.faults == []


def test_what_is_urgent_is_given_first_on_both_sides() -> None:
    mine, theirs = [entry(1_000 + n) for n in range(40)], [entry(2_000 + n) for n in range(40)]
    pair = Pair(1_000, mine, theirs)
    pair.hubs[ADA].changed((), [(mine[33], True)])
    pair.hubs[BEN].changed((), [(theirs[17], True)])
    pair.link()
    assert pair.learned[ADA][0] == theirs[17]
    assert pair.learned[BEN][0] == mine[33]


def test_every_head_of_a_fork_is_an_entry() -> None:
    one, other = entry(7, 1), entry(7, 2)
    pair = Pair(50, [one], [other]).link()
    assert pair.learned == {ADA: [other], BEN: [one]}


def test_if_both_begin_at_once_the_smaller_id_goes_on() -> None:
    pair = Pair(100, [entry(1_000)], [entry(2_000)])
    ben = pair.hubs[BEN].neighbor_up(ADA, 0, bridge=True)
    ada = pair.hubs[ADA].neighbor_up(BEN, 0, bridge=True)
    pair.do(BEN, ben)
    pair.do(ADA, ada)
    assert pair.faults == [(ADA, Reason.RECONCILE_BUSY)]
    assert (pair.learned[ADA], pair.learned[BEN]) == ([entry(2_000)], [entry(1_000)])
    assert pair.ended == [(ADA, Outcome.FOUND)]


def test_without_news_somebody_is_asked_every_ten_seconds() -> None:
    pair = Pair(100).link().wait(120)
    assert 20 <= pair.kinds().count("Open") <= 32
    assert set(pair.kinds()) == {"Open"}


def test_a_change_is_found_at_the_next_session() -> None:
    pair = Pair(100).link().wait(5)
    pair.hubs[BEN].changed([entry(3)], [(entry(3, 1), False)])
    pair.wait(13)
    assert entry(3, 1) in pair.learned[ADA]
    assert entry(3) in pair.learned[BEN]


def test_a_neighbor_whose_heads_never_come_is_asked_ever_less_often() -> None:
    pair = Pair(20, [], [entry(2_000)]).link().wait(3_600)
    asked = sum(1 for hub, message in pair.said if hub == ADA and isinstance(message, wire.ReconOpen))
    assert 10 <= asked <= 22
    assert pair.faults.count((ADA, Reason.RECONCILE_STALLED)) >= 8


def test_a_neighbor_that_lets_a_session_hang_is_given_up_and_left_alone_for_a_while() -> None:
    ada = Reconciler(ADA, ReconcileConfig(), Rng(1), b"s" * 16)
    ada.changed((), [(entry(n), False) for n in range(100)])
    ada.neighbor_up(BEN, 0)
    told = ada.receive(BEN, wire.ReconSymbols(101, bytes(range(168))), 1_000)
    assert Tell(BEN, wire.ReconMore()) in told
    assert ada.timer(3_001_000)[:2] == [
        Ended(BEN, Outcome.GIVEN_UP),
        Fault(BEN, Reason.RECONCILE_SILENT, ""),
    ]
    assert not any(isinstance(effect, Tell) for effect in ada.timer(12_900_000))


def test_a_peer_that_asks_again_at_once_is_not_answered() -> None:
    ben = Reconciler(BEN, ReconcileConfig(), Rng(1), b"s" * 16)
    ben.changed((), [(entry(1), False)])
    ben.neighbor_up(ADA, 0)
    opened = wire.ReconOpen(bytes(16))
    assert isinstance(ben.receive(ADA, opened, 10)[0], Tell)
    assert ben.receive(ADA, opened, 20)[0] == Fault(ADA, Reason.RECONCILE_BUSY, "asked too soon")
    assert isinstance(ben.receive(ADA, opened, 1_000_020)[0], Tell)


def test_who_has_left_is_forgotten_and_nothing_of_it_is_taken() -> None:
    pair = Pair(100, [entry(1_000)], []).link()
    pair.hubs[BEN].neighbor_down(ADA, pair.now)
    refused = pair.hubs[BEN].receive(ADA, wire.ReconMore(), pair.now)
    assert refused[0] == Fault(ADA, Reason.RECONCILE_UNEXPECTED, "no neighbor")


def test_a_peer_that_did_not_give_what_it_said_is_left_alone() -> None:
    pair = Pair(100).link().wait(4)
    struck = pair.hubs[ADA].fruitless(BEN, pair.now)
    assert struck == [Fault(BEN, Reason.RECONCILE_STALLED, "")]
    opened = [at for at, (hub, _) in enumerate(pair.said) if hub == ADA]
    pair.wait(6)
    assert [at for at, (hub, _) in enumerate(pair.said) if hub == ADA] == opened


def test_who_stalls_is_asked_again_as_soon_as_there_is_news_here() -> None:
    pair = Pair(20, [], [entry(2_000)]).link().wait(600)
    assert pair.hubs[ADA].statistics(pair.now).resting == 1
    pair.said.clear()
    pair.hubs[ADA].changed([entry(3)], [(entry(3, 1), False)])
    pair.wait(26)
    assert any(hub == ADA and isinstance(message, wire.ReconOpen) for hub, message in pair.said)
    assert entry(3, 1) in pair.learned[BEN]


def test_salts_differ_from_session_to_session() -> None:
    pair = Pair(10).link().wait(200)
    salts = [message.mark[:8] for _, message in pair.said if isinstance(message, wire.ReconOpen)]
    assert len(salts) > 20
    assert len(set(salts)) == len(salts)


def test_more_pages_than_one_are_turned_until_all_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "FINGERPRINTS_MAX", 64)
    mine, theirs = [entry(7_000 + n) for n in range(60)], [entry(5_000 + n) for n in range(150)]
    pair = Pair(200, mine, theirs).link()
    assert pair.kinds().count("Page") == 6
    assert (len(pair.learned[ADA]), len(pair.learned[BEN])) == (150, 60)


def test_what_does_not_fit_one_session_is_left_for_the_next() -> None:
    mine, theirs = [entry(7_000 + n) for n in range(90)], [entry(5_000 + n) for n in range(90)]
    config = ReconcileConfig(every_us=3_600 * SECOND, differ_max=64)
    pair = Pair(100, mine, theirs, config, keep=True).link()
    assert (len(pair.learned[ADA]), len(pair.learned[BEN])) == (64, 64)
    pair.wait(5)
    assert pair.hubs[ADA].frontier.mark(bytes(8)) == pair.hubs[BEN].frontier.mark(bytes(8))


FORGERIES: dict[str, list[ReconcileMessage]] = {
    "the count of heads changes": [wire.ReconSymbols(100, bytes(168)), wire.ReconSymbols(101, bytes(56))],
    "more symbols than are worth it": [wire.ReconSymbols(100, bytes(7 * 38))],
    "a page out of order": [wire.ReconPage(b"bbbbbaaaaa", True)],
    "a fingerprint twice": [wire.ReconPage(b"aaaaaaaaaa", True)],
    "an empty page with more to come": [wire.ReconSymbols(0, bytes(7)), wire.ReconPage(b"", False)],
    "a page that begins again": [
        wire.ReconSymbols(900, bytes(7)),
        wire.ReconPage(b"mmmmm", False),
        wire.ReconPage(b"aaaaa", False),
    ],
    "entries that were not asked for": [
        wire.ReconPage(b"aaaaa", True),
        wire.ReconEntries(entry(5_000).packed, b"", True),
    ],
    "no entries": [wire.ReconPage(b"aaaaa", True), wire.ReconEntries(b"", b"", True)],
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_answer_ends_the_session_and_counts_against_the_peer(name: str) -> None:
    ada = Reconciler(ADA, ReconcileConfig(), Rng(1), b"s" * 16)
    ada.changed((), [(entry(n), False) for n in range(100)])
    ada.neighbor_up(BEN, 0)
    *before, last = FORGERIES[name]
    for message in before:
        assert not any(isinstance(effect, Fault) for effect in ada.receive(BEN, message, 5))
    ended, fault, *_ = ada.receive(BEN, last, 5)
    assert ended == Ended(BEN, Outcome.GIVEN_UP)
    assert isinstance(fault, Fault)
    assert fault.reason is Reason.RECONCILE_FORGED
    assert ada.statistics(5).resting == 1
    assert ada.statistics(10 * SECOND + 6).resting == 0


OUT_OF_PLACE: dict[str, list[ReconcileMessage]] = {
    "a question to the opener": [wire.ReconMore()],
    "a page that was not turned to": [wire.ReconPage(b"aaaaa", False)],
    "entries before anything else": [wire.ReconEntries(b"", b"", True)],
    "symbols after a page": [wire.ReconPage(b"aaaaa", True), wire.ReconSymbols(100, bytes(168))],
}


@pytest.mark.parametrize("name", OUT_OF_PLACE)
def test_a_message_that_nobody_waits_for_ends_the_session(name: str) -> None:
    ada = Reconciler(ADA, ReconcileConfig(), Rng(1), b"s" * 16)
    ada.changed((), [(entry(n), False) for n in range(100)])
    ada.neighbor_up(BEN, 0)
    effects = [effect for message in OUT_OF_PLACE[name] for effect in ada.receive(BEN, message, 5)]
    faults = [effect.reason for effect in effects if isinstance(effect, Fault)]
    assert faults == [Reason.RECONCILE_UNEXPECTED]


DEMANDS: dict[str, tuple[list[ReconcileMessage], Reason]] = {
    "the same page again": ([wire.ReconTurn(b"m" * 5), wire.ReconTurn(b"m" * 5)], Reason.RECONCILE_FORGED),
    "an earlier page": ([wire.ReconTurn(b"m" * 5), wire.ReconTurn(None)], Reason.RECONCILE_FORGED),
    "symbols after a page": ([wire.ReconTurn(None), wire.ReconMore()], Reason.RECONCILE_UNEXPECTED),
    "symbols without end": ([wire.ReconMore()] * 4, Reason.RECONCILE_UNEXPECTED),
    "entries that nobody has": ([wire.ReconEntries(b"", b"aaaaa", True)], Reason.RECONCILE_FORGED),
    "nothing at all": ([wire.ReconEntries(b"", b"", False)], Reason.RECONCILE_FORGED),
    "an answer": ([wire.ReconSymbols(1, bytes(7))], Reason.RECONCILE_UNEXPECTED),
    "endless gifts": (
        [wire.ReconEntries(entry(9_000 + n).packed, b"", False) for n in range(40)],
        Reason.RECONCILE_ENDLESS,
    ),
}


@pytest.mark.parametrize("name", DEMANDS)
def test_a_demand_that_leads_nowhere_ends_the_session(name: str) -> None:
    ben = Reconciler(BEN, ReconcileConfig(), Rng(1), b"s" * 16)
    ben.changed((), [(entry(n), False) for n in range(100)])
    ben.neighbor_up(ADA, 0)
    assert isinstance(ben.receive(ADA, wire.ReconOpen(bytes(16)), 1)[0], Tell)
    messages, reason = DEMANDS[name]
    faults: list[Reason] = []
    for message in messages:
        faults += [one.reason for one in ben.receive(ADA, message, 2) if isinstance(one, Fault)]
        if faults:
            break
    assert faults == [reason]
    assert ben.statistics(2).answered == 0


def test_an_answer_that_never_ends_is_ended() -> None:
    ada = Reconciler(ADA, ReconcileConfig(), Rng(1), b"s" * 16)
    ada.changed((), [(entry(n), False) for n in range(100)])
    ada.neighbor_up(BEN, 0)
    ada.receive(BEN, wire.ReconSymbols(900, bytes(7)), 1)
    faults: list[Reason] = []
    for number in range(40):
        page = wire.ReconPage(number.to_bytes(5, "big"), False)
        faults += [one.reason for one in ada.receive(BEN, page, 2) if isinstance(one, Fault)]
    assert faults[0] is Reason.RECONCILE_ENDLESS


def test_hostile_neighbors_do_not_keep_a_hub_from_an_honest_one() -> None:
    """Seven answer as slowly as they may; the eighth is asked all the same, again and again."""
    ada = Reconciler(ADA, ReconcileConfig(), Rng(1), b"s" * 16)
    ada.changed((), [(entry(n), False) for n in range(100)])
    slow = [AuthorId(bytes([byte]) * 32) for byte in range(100, 107)]
    honest = AuthorId(b"z" * 32)
    asked, now, wake = [], 0, 1
    waiting: list[tuple[int, AuthorId]] = []
    effects = [one for peer in [*slow, honest] for one in ada.neighbor_up(peer, 0)]
    while now < 600 * SECOND:
        for effect in effects:
            if isinstance(effect, SetTimer):
                wake = effect.at
            elif isinstance(effect, Tell) and effect.peer == honest:
                asked.append(now)
            elif isinstance(effect, Tell):
                waiting.append((now + 2_900_000, effect.peer))
        if waiting and waiting[0][0] <= wake:
            now, peer = waiting.pop(0)
            effects = ada.receive(peer, wire.ReconSymbols(100, bytes(range(56))), now)
        else:
            now = max(wake, now)
            effects = ada.timer(now)
    assert len(asked) >= 12
    assert max(later - sooner for sooner, later in pairwise(asked)) < 180 * SECOND


def test_a_thousand_strangers_leave_no_more_behind_than_a_few() -> None:
    ada = Reconciler(ADA, ReconcileConfig(), Rng(1), b"s" * 16)
    ada.changed((), [(entry(n), False) for n in range(5)])
    for number in range(1_000):
        peer = entry(number).author
        ada.neighbor_up(peer, number)
        ada.receive(peer, wire.ReconOpen(bytes(16)), number)
        ada.receive(peer, wire.ReconPage(b"bbbbbaaaaa", True), number)
        ada.neighbor_down(peer, number)
    left = ada.statistics(1_000)
    assert (left.opened, left.answered) == (0, 0)
    assert left.remembered == ReconcileConfig().strikes_max
