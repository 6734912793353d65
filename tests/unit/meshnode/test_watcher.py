"""From mDNS records to sightings, with a real zeroconf cache and no network."""

from __future__ import annotations

import socket
from typing import cast

from hypothesis import given
from hypothesis import strategies as st
from zeroconf import (  # type: ignore[attr-defined]  # the DNS classes are not in zeroconf's __all__
    DNSAddress,
    DNSOutgoing,
    DNSPointer,
    DNSRecord,
    DNSService,
    DNSText,
    RecordUpdate,
    Zeroconf,
    current_time_millis,
)
from zeroconf._cache import DNSCache

from meshnode.discovery.candidate import Candidate
from meshnode.discovery.records import SERVICE_TYPE, txt_properties
from meshnode.discovery.watcher import ASKED_AT_ONCE_MAX, MISSING_MAX, Mailbox, Sighting, Watcher
from protocol.identity import open_mesh
from protocol.limits import CANDIDATES_MAX

OURS = open_mesh("ours")
A, PTR, TXT, AAAA, SRV, IN = 1, 12, 16, 28, 33, 1
NAME = "abcdefgh234567xy"


class Air:
    """Stands in for a Zeroconf: its cache, and what would be sent."""

    def __init__(self) -> None:
        self.cache = DNSCache()
        self.sent: list[DNSOutgoing] = []
        self.mailbox = Mailbox(lambda: None)
        self.watcher = Watcher(OURS, self.mailbox)

    def async_send(self, out: DNSOutgoing) -> None:
        self.sent.append(out)

    def hear(self, *records: DNSRecord) -> tuple[Sighting, ...]:
        """One packet, handled in zeroconf's order: note, cache, complete."""
        now = current_time_millis()
        self.watcher.async_update_records(cast(Zeroconf, self), now, [RecordUpdate(r, None) for r in records])
        gone = [record for record in records if record.is_expired(now)]
        self.cache.async_add_records(record for record in records if record not in gone)
        self.cache.async_remove_records(record for record in gone if self.cache.get(record) is not None)
        self.watcher.async_update_records_complete()
        return self.mailbox.take()


def pointer(name: str = NAME, ttl: int = 900) -> DNSPointer:
    return DNSPointer(SERVICE_TYPE, PTR, IN, ttl, f"{name}.{SERVICE_TYPE}")


def service(name: str = NAME, port: int = 7000, host: str = "host") -> DNSService:
    return DNSService(f"{name}.{SERVICE_TYPE}", SRV, IN, 120, 0, 0, port, f"{host}.local.")


def text(name: str = NAME, mesh_name: str = "ours", raw: bytes | None = None) -> DNSText:
    properties = txt_properties(open_mesh(mesh_name), name)
    entries = [f"{key}={value}".encode() for key, value in properties.items()]
    rdata = b"".join(bytes([len(entry)]) + entry for entry in entries) if raw is None else raw
    return DNSText(f"{name}.{SERVICE_TYPE}", TXT, IN, 900, rdata)


def address(literal: str = "10.0.0.7", host: str = "host", scope: int | None = None) -> DNSAddress:
    six = ":" in literal
    packed = socket.inet_pton(socket.AF_INET6 if six else socket.AF_INET, literal)
    return DNSAddress(f"{host}.local.", AAAA if six else A, IN, 120, packed, scope)


def found(*addresses: tuple[str, int], name: str = NAME) -> tuple[Sighting, ...]:
    return (Sighting(name, Candidate(name, addresses)),)


def test_a_whole_announcement_is_one_sighting() -> None:
    air = Air()
    assert air.hear(pointer(), service(), text(), address()) == found(("10.0.0.7", 7000))
    assert air.sent == []


def test_addresses_of_both_families_are_listed_ipv4_first_with_scope() -> None:
    air = Air()
    records = (pointer(), service(), text(), address("fe80::7", scope=2), address("fd00::7"), address())
    assert air.hear(*records) == found(("10.0.0.7", 7000), ("fd00::7", 7000), ("fe80::7%2", 7000))


def test_at_most_four_addresses_are_kept() -> None:
    air = Air()
    (sighting,) = air.hear(pointer(), service(), text(), *(address(f"10.0.0.{n}") for n in range(1, 30)))
    assert sighting.candidate is not None
    assert len(sighting.candidate.addresses) == 4


def test_records_that_come_one_by_one_are_asked_for_once_and_then_seen() -> None:
    air = Air()
    assert air.hear(pointer()) == ()
    assert [sorted(q.type for q in out.questions) for out in air.sent] == [[TXT, SRV]]
    assert air.hear(service()) == ()
    assert air.hear(text()) == ()
    assert air.hear(address()) == found(("10.0.0.7", 7000))
    assert len(air.sent) == 1  # the rest came within the spacing


def test_an_address_that_comes_alone_updates_the_instances_of_its_host() -> None:
    air = Air()
    air.hear(pointer(), service(), text(), address())
    assert air.hear(address("10.0.0.8")) == found(("10.0.0.8", 7000), ("10.0.0.7", 7000))
    assert air.hear(address("10.0.0.9", host="elsewhere")) == ()


def test_a_whole_announcement_is_seen_even_if_the_cache_is_too_full_to_keep_it() -> None:
    air = Air()
    for number in range(10_000):
        air.cache.async_add_records([pointer(f"flood{number:011}")])
    assert air.hear(address(), pointer(), service(), text()) == found(("10.0.0.7", 7000))
    assert air.cache.get_all_by_details("host.local.", A, IN) == []


def test_a_goodbye_is_passed_on() -> None:
    air = Air()
    air.hear(pointer(), service(), text(), address())
    assert air.hear(pointer(ttl=0)) == (Sighting(NAME, None),)


def test_we_are_not_our_own_candidate() -> None:
    air = Air()
    air.watcher.own = frozenset({NAME})
    assert air.hear(pointer(), service(), text(), address()) == ()
    assert air.hear(pointer(NAME.upper()), service(NAME.upper()), text(NAME.upper()), address()) == ()


def test_another_mesh_is_counted_and_never_seen() -> None:
    air = Air()
    assert air.hear(pointer(), service(), text(mesh_name="theirs"), address()) == ()
    assert (air.watcher.foreign, air.watcher.malformed) == (1, 0)


def test_a_forged_tag_beside_the_true_one_does_not_hide_a_member() -> None:
    air = Air()
    records = (pointer(), service(), text(), text(mesh_name="theirs"), address())
    assert air.hear(*records) == found(("10.0.0.7", 7000))


def test_a_forged_port_beside_the_true_one_leaves_both_to_try() -> None:
    air = Air()
    records = (pointer(), service(), service(port=6666, host="trap"), text(), address(), address("10.0.0.66", "trap"))
    assert air.hear(*records) == found(("10.0.0.66", 6666), ("10.0.0.7", 7000))


def test_malformed_records_are_counted_and_end_there() -> None:
    air = Air()
    assert air.hear(pointer("x")) == ()
    assert air.hear(pointer(), service(), text(raw=b"\xff"), address()) == ()
    zero = (pointer("portzero"), service("portzero", port=0, host="zero"), text("portzero"), address(host="zero"))
    assert air.hear(*zero) == ()
    assert air.watcher.malformed == 3
    assert air.watcher.foreign == 0


def test_a_record_that_zeroconf_itself_cannot_read_is_counted_and_the_others_are_handled() -> None:
    class Broken(DNSPointer):
        def is_expired(self, now: float) -> bool:
            raise ValueError("broken")

    air = Air()
    now = current_time_millis()
    updates = [RecordUpdate(Broken(SERVICE_TYPE, PTR, IN, 900, f"{NAME}.{SERVICE_TYPE}"), None)]
    records: list[DNSRecord] = [service(), text(), address()]
    air.watcher.async_update_records(cast(Zeroconf, air), now, updates + [RecordUpdate(r, None) for r in records])
    air.cache.async_add_records(records)
    air.watcher.async_update_records_complete()
    assert air.mailbox.take() == found(("10.0.0.7", 7000))
    assert air.watcher.malformed == 1


def test_loopback_is_not_dialled_for_a_stranger() -> None:
    air = Air()
    assert air.hear(pointer(), service(), text(), address("127.0.0.1")) == ()
    air.watcher.loopback = True
    assert air.hear(service(), address("127.0.0.1")) == found(("127.0.0.1", 7000))


def test_a_flood_of_names_is_forgotten_and_asked_for_in_small_packets() -> None:
    air = Air()
    for number in range(5_000):
        air.hear(pointer(f"flood{number:011}"))
    air.watcher.ask(cast(Zeroconf, air))
    names = {question.name for out in air.sent for question in out.questions} - {SERVICE_TYPE}
    assert len(air.sent) <= 60  # four a second at most: a run of some seconds on a busy machine
    assert len(names) <= len(air.sent) * ASKED_AT_ONCE_MAX
    assert air.watcher.missing <= MISSING_MAX


def test_the_question_lists_what_we_know_but_no_name_that_we_have_left() -> None:
    air = Air()
    air.hear(pointer(), pointer("oldname0"), pointer("newname0"))
    air.sent.clear()
    air.watcher.retired = frozenset({"oldname0"})
    air.watcher.ask(cast(Zeroconf, air))
    known = {record.alias.split(".")[0] for record, _ in air.sent[0].answers if isinstance(record, DNSPointer)}
    assert known == {NAME, "newname0"}
    assert [(q.name, q.type) for q in air.sent[0].questions] == [(SERVICE_TYPE, PTR)]


def test_the_mailbox_keeps_the_newest_of_each_name_and_pushes_out_the_oldest() -> None:
    rung: list[None] = []
    box = Mailbox(lambda: rung.append(None))
    for number in range(CANDIDATES_MAX + 3):
        box.put(Sighting(f"n{number}", None))
    box.put(Sighting("n5", Candidate("n5", ())))
    taken = box.take()
    assert len(taken) == CANDIDATES_MAX
    assert taken[0].name == "n3"
    assert taken[-1] == Sighting("n5", Candidate("n5", ()))
    assert box.dropped == 3
    assert len(rung) == CANDIDATES_MAX + 4
    assert box.take() == ()


RECORDS = st.one_of(
    st.builds(pointer, st.sampled_from([NAME, "x", "another0", "." * 9]), st.sampled_from([0, 900])),
    st.builds(service, st.sampled_from([NAME, "another0"]), st.sampled_from([0, 1, 65535])),
    st.builds(text, st.sampled_from([NAME, "another0"]), st.sampled_from(["ours", "theirs"])),
    st.builds(lambda raw: text(raw=raw), st.binary(max_size=40)),
    st.builds(address, st.sampled_from(["10.0.0.7", "127.0.0.1", "fe80::1", "fd00::1"])),
)


@given(st.lists(st.lists(RECORDS, max_size=6), max_size=6))
def test_any_order_of_records_gives_only_candidates_of_ours_with_addresses(packets: list[list[DNSRecord]]) -> None:
    air = Air()
    for packet in packets:
        for sighting in air.hear(*packet):
            if sighting.candidate is not None:
                assert sighting.name in (NAME, "another0")
                assert {host for host, _ in sighting.candidate.addresses} <= {"10.0.0.7", "fd00::1"}
                assert all(port in (1, 65535) for _, port in sighting.candidate.addresses)
                assert sighting.candidate.addresses
