"""Where hubs say that they listen: signed, ordered, passed on to newcomers (sections 5.3 and 6, R31)."""

from __future__ import annotations

import pytest

from protocol.crypto import verify
from protocol.errors import CloseCode, Reason
from protocol.identity import LocalIdentity
from protocol.inputs import Address, DialFailed, InterfaceChanged, Started
from protocol.limits import PEERS_MAX
from protocol.wire import messages as wire
from protocol.wire.records import AddressesRecord, decode_addresses, encode_addresses
from tests.unit.link.weak_keys import ed25519_small_order, small_order_key_state
from tests.unit.protocol.hub import Hub, closed, connects, drops, sent
from tests.unit.protocol.people import (
    ANN,
    BEN,
    CAT,
    DAN,
    EVE,
    ME,
    MESH,
    OTHER_MESH,
    Made,
    listening,
    peer_record,
    person,
    vector,
)

HERE: Address = ("10.0.0.1", 7_000)
THERE: Address = ("10.0.0.2", 7_000)
SECOND = 1_000_000


def hello_of(hub: Hub, link: int = 1) -> wire.Hello:
    """The HELLO that a hub says to Ann."""
    (hello,) = sent(hub.up(link, ANN))
    assert isinstance(hello, wire.Hello)
    return hello


def said_in(hello: wire.Hello) -> AddressesRecord:
    """The addresses that a HELLO carries."""
    assert hello.addresses is not None
    return decode_addresses(MESH.mesh_id, hello.addresses[0])


def introduced(hub: Hub, link: int, who: LocalIdentity) -> list[wire.PeerRecord]:
    """The records with which a hub welcomes a newcomer."""
    return [record for m in sent(hub.join(link, who), link) if isinstance(m, wire.Peers) for record in m.records]


def test_a_hello_carries_boot_software_and_where_we_listen_signed() -> None:
    hub = Hub(started=Started(7, listen=(HERE, THERE)))
    hello = hello_of(hub)
    assert (hello.boot, hello.agent) == (7, "meshnode/0.1")
    assert said_in(hello) == AddressesRecord(ME.author, 0, 7, 1, (HERE, THERE))
    assert hello.addresses is not None
    assert hello.addresses == (hello.addresses[0], ME.sign(hello.addresses[0]))


def test_no_more_than_four_of_our_addresses_are_told() -> None:
    many = tuple((f"10.0.0.{number}", 1) for number in range(1, 9))
    assert said_in(hello_of(Hub(started=Started(1, listen=many)))).addresses == many[:4]


def test_a_change_of_address_is_signed_anew_with_a_higher_number_and_told_to_every_neighbor() -> None:
    hub = Hub(started=Started(1, listen=(HERE,)))
    hub.join(1, ANN)
    hub.join(2, BEN)
    effects = hub.act(InterfaceChanged((THERE,)))
    for link in (1, 2):
        (message,) = sent(effects, link)
        assert isinstance(message, wire.Peers)
        (record,) = message.records
        assert record.key_state == ME.key_state.encoded
        assert decode_addresses(MESH.mesh_id, record.signed) == AddressesRecord(ME.author, 0, 1, 2, (THERE,))
    assert said_in(hello_of(hub, 3)).addresses == (THERE,)


def test_where_a_peer_listens_is_dialled_after_its_link_was_lost() -> None:
    hub = Hub()
    hub.up(1, ANN)
    hub.hello(1, addresses=listening(ANN, HERE, THERE))
    hub.say(1, wire.Bye(CloseCode.TIMEOUT))
    (dial,) = connects(hub.advance(SECOND))
    assert (dial.addresses, dial.expected) == ((HERE, THERE), ANN.author)


def test_hubs_that_a_peer_speaks_of_are_dialled_and_expected_to_be_themselves() -> None:
    hub = Hub()
    hub.join(1, ANN)
    found = connects(hub.say(1, wire.Peers((peer_record(BEN, HERE), peer_record(CAT, THERE)))))
    assert {dial.expected: dial.addresses for dial in found} == {BEN.author: (HERE,), CAT.author: (THERE,)}


def test_a_newcomer_is_told_of_up_to_eight_others_and_never_of_itself() -> None:
    hub = Hub()
    for number in range(12):
        hub.up(10 + number, person(100 + number))
        hub.hello(10 + number, addresses=listening(person(100 + number), ("10.0.0.1", 1 + number)))
    records = introduced(hub, 2, person(103))
    assert len(records) == PEERS_MAX
    assert len({record.signed for record in records}) == PEERS_MAX
    assert person(103).key_state.encoded not in [record.key_state for record in records]


def test_a_newcomer_to_a_hub_that_knows_nobody_is_told_of_nobody() -> None:
    assert introduced(Hub(), 1, ANN) == []


# --- order ------------------------------------------------------------------------------------------------------


def test_newer_addresses_are_passed_on_in_place_of_older_ones() -> None:
    hub = Hub()
    hub.join(1, ANN)
    old, new = peer_record(BEN, HERE, seq=1), peer_record(BEN, THERE, seq=2)
    for record in (old, new, old):
        hub.say(1, wire.Peers((record,)))
        hub.now += SECOND
    assert introduced(hub, 2, CAT) == [new]


@pytest.mark.parametrize(
    "later", [peer_record(BEN, THERE, seq=2), peer_record(BEN, THERE, boot=2), peer_record(person(2, 1), THERE)]
)
def test_addresses_are_ordered_by_rotation_boot_and_seq(later: wire.PeerRecord) -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.say(1, wire.Peers((later,)))
    hub.now += SECOND
    hub.say(1, wire.Peers((peer_record(BEN, HERE, seq=1),)))
    assert introduced(hub, 2, CAT) == [later]


def test_addresses_that_were_replaced_are_not_dialled_when_somebody_repeats_them() -> None:
    hub = Hub()
    hub.join(1, ANN)
    (dial,) = connects(hub.say(1, wire.Peers((peer_record(BEN, THERE, seq=2),))))
    hub.act(DialFailed(dial.dial, "refused"))
    hub.say(1, wire.Peers((peer_record(BEN, HERE, seq=1),)))
    found = connects(hub.advance(20 * SECOND))
    assert {one.addresses for one in found} == {(THERE,)}


def test_addresses_signed_by_a_key_that_was_rotated_away_are_not_believed() -> None:
    hub = Hub()
    hub.join(1, ANN)
    hub.join(2, person(2, 1))
    hub.say(1, wire.Peers((peer_record(BEN, HERE, boot=9),)))
    assert introduced(hub, 3, CAT) == []


def test_addresses_signed_after_our_boot_was_lifted_carry_the_new_boot() -> None:
    hub = Hub(started=Started(1, listen=(HERE,)))
    hub.join(1, ANN)
    hub.say(1, vector(ME, 1, Made(boot=9)))
    hello = hello_of(hub, 2)
    assert (hello.boot, said_in(hello).boot) == (10, 10)


# --- refusal ----------------------------------------------------------------------------------------------------


def broken(**changed: bytes) -> wire.PeerRecord:
    """A record of Ben's, one part of which is replaced."""
    good = peer_record(BEN, HERE)
    return wire.PeerRecord(
        changed.get("key_state", good.key_state),
        changed.get("signed", good.signed),
        changed.get("signature", bytes(64)),
    )


FOREIGN = encode_addresses(OTHER_MESH.mesh_id, AddressesRecord(BEN.author, 0, 1, 1, (HERE,)))


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (broken(), Reason.BAD_SIGNATURE),
        (broken(signature=EVE.sign(peer_record(BEN, HERE).signed)), Reason.BAD_SIGNATURE),
        (broken(key_state=CAT.key_state.encoded), Reason.BAD_KEY_STATE),
        (broken(key_state=person(2, 1).key_state.encoded), Reason.BAD_KEY_STATE),
        (broken(key_state=BEN.key_state.encoded[:-1] + b"\0"), Reason.BAD_SIGNATURE),
        (broken(key_state=small_order_key_state(ed25519_small_order()["identity"])), Reason.BAD_KEY),
        (broken(signed=b"\xc0"), Reason.WRONG_TYPE),
        (broken(signed=FOREIGN), Reason.WRONG_MESH),
        (broken(signed=vector(BEN, 1).signed), Reason.WRONG_DOMAIN),
    ],
)
def test_an_invalid_record_in_peers_closes_the_link(record: wire.PeerRecord, reason: Reason) -> None:
    hub = Hub()
    hub.join(1, EVE)
    effects = hub.say(1, wire.Peers((record,)))
    assert drops(effects) == [reason]
    assert [link for link, _ in closed(effects)] == [1]
    assert connects(hub.advance(SECOND)) == []


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ((listening(ANN, HERE)[0], bytes(64)), Reason.BAD_SIGNATURE),
        (listening(BEN, HERE), Reason.BAD_KEY_STATE),
        (listening(person(1, 1), HERE), Reason.BAD_KEY_STATE),
        ((b"\x90", bytes(64)), Reason.WRONG_TYPE),
        ((vector(ANN, 1).signed, vector(ANN, 1).signature), Reason.WRONG_DOMAIN),
    ],
)
def test_an_invalid_record_in_hello_closes_the_link(pair: tuple[bytes, bytes], reason: Reason) -> None:
    hub = Hub()
    hub.up(1, ANN)
    effects = hub.hello(1, addresses=pair)
    assert drops(effects) == [reason]
    assert [link for link, _ in closed(effects)] == [1]
    assert hub.statistics().links == ()


def test_the_same_record_twice_costs_no_second_check() -> None:
    checked: list[bytes] = []

    def counting(key: bytes, message: bytes, signature: bytes) -> bool:
        checked.append(message)
        return verify(key, message, signature)

    hub = Hub(verifier=counting)
    hub.join(1, ANN)
    for _ in range(5):
        hub.say(1, wire.Peers((peer_record(DAN, HERE),)))
        hub.now += SECOND
    assert checked == [peer_record(DAN, HERE).signed]
