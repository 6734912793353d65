"""What our DNS-SD records say and how others' are judged."""

from __future__ import annotations

import base64
import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshnode.discovery.records import (
    SERVICE_TYPE,
    Verdict,
    fresh_names,
    host_literal,
    instance_of,
    judge,
    parse_txt,
    txt_properties,
)
from meshnode.entropy import entropy
from protocol.identity import open_mesh

OURS = open_mesh("ours")
LABEL = "abcdefgh234567xy"


def txt(*entries: bytes) -> bytes:
    """A TXT record's rdata."""
    return b"".join(bytes([len(entry)]) + entry for entry in entries)


def good(label: str = LABEL, mesh_name: str = "ours") -> bytes:
    return txt(*(f"{k}={v}".encode() for k, v in txt_properties(open_mesh(mesh_name), label).items()))


def test_names_are_two_independent_labels_of_eighty_bits() -> None:
    names = fresh_names(entropy)
    assert names.instance != names.host
    assert all(len(label) == 16 and instance_of(f"{label}.{SERVICE_TYPE}") for label in (names.instance, names.host))
    assert fresh_names(entropy) != names


def test_names_use_every_bit_that_was_drawn() -> None:
    blocks = iter([bytes(range(10)), bytes(range(10, 20))])
    names = fresh_names(lambda _count: next(blocks))
    assert base64.b32decode(names.instance.upper()) == bytes(range(10))
    assert base64.b32decode(names.host.upper()) == bytes(range(10, 20))


def test_the_txt_record_begins_with_its_version_and_holds_nothing_but_versions_and_tag() -> None:
    properties = txt_properties(OURS, LABEL)
    assert list(properties) == ["txtvers", "v", "t"]
    assert properties["txtvers"] == properties["v"] == "1"
    assert len(properties["t"]) == 16
    assert len(good()) < 60


def test_a_member_is_recognised_and_another_mesh_is_not() -> None:
    assert judge(OURS, LABEL, good()) is Verdict.MEMBER
    assert judge(OURS, LABEL, good(mesh_name="theirs")) is Verdict.FOREIGN


def test_a_tag_cannot_be_carried_to_another_instance() -> None:
    assert judge(OURS, "zzzzzzzz234567xy", good()) is Verdict.FOREIGN


TAG = txt_properties(OURS, LABEL)["t"].encode()


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"\x00",
        b"\xff",
        good()[:-1],
        txt(b"v=1", b"t=" + TAG),
        txt(b"txtvers=2", b"v=1", b"t=" + TAG),
        txt(b"txtvers=1", b"v=2", b"t=" + TAG),
        txt(b"txtvers=1", b"v=1"),
        txt(b"txtvers=1", b"v=1", b"t=" + TAG[:-1]),
        txt(b"txtvers=1", b"v=1", b"t=" + TAG.upper().replace(b"0", b"A")),
        txt(b"txtvers=1", b"v=1", b"t=" + TAG, b"T=" + TAG),
        txt(b"txtvers=1", b"v=1", b"t=" + TAG, *([b"x%d=" % n + b"y" * 200 for n in range(2)])),
        txt(b"txtvers=1", b"v=1", b"t=" + TAG, b"\xe9=1"),
    ],
)
def test_a_txt_record_of_another_form_is_malformed(record: bytes) -> None:
    assert judge(OURS, LABEL, record) is Verdict.MALFORMED


def test_keys_we_do_not_know_and_empty_strings_are_passed_over() -> None:
    assert judge(OURS, LABEL, txt(b"txtvers=1", b"", b"new", b"V=1", b"t=" + TAG)) is Verdict.MEMBER


@given(st.binary(max_size=600))
def test_any_bytes_are_judged_without_an_exception(record: bytes) -> None:
    entries = parse_txt(record)
    assert entries is None or len(record) <= 400
    assert judge(OURS, LABEL, record) in Verdict


@pytest.mark.parametrize(
    ("name", "label"),
    [
        (f"{LABEL}.{SERVICE_TYPE}", LABEL),
        (f"{LABEL}.{SERVICE_TYPE.upper()}", LABEL),
        (SERVICE_TYPE, None),
        (f".{SERVICE_TYPE}", None),
        (f"short.{SERVICE_TYPE}", None),
        (f"{'x' * 64}.{SERVICE_TYPE}", None),
        (f"a b c d e f.{SERVICE_TYPE}", None),
        (f"two.labels.{SERVICE_TYPE}", None),
        (f"{LABEL}._http._tcp.local.", None),
        (f"{LABEL}X{SERVICE_TYPE}", None),
        ("", None),
    ],
)
def test_only_plain_labels_of_our_service_type_are_instances(name: str, label: str | None) -> None:
    assert instance_of(name) == label


@pytest.mark.parametrize(
    ("address", "scope", "host"),
    [
        ("10.0.0.7", None, "10.0.0.7"),
        ("fd00::7", None, "fd00::7"),
        ("fd00::7", 3, "fd00::7"),
        ("fe80::7", 3, "fe80::7%3"),
        ("fe80::7", None, None),
        ("127.0.0.1", None, None),
        ("::1", None, None),
        ("0.0.0.0", None, None),
        ("::", None, None),
        ("224.0.0.251", None, None),
        ("ff02::fb", 3, None),
        ("255.255.255.255", None, None),
        ("::ffff:127.0.0.1", None, None),
    ],
)
def test_only_addresses_that_can_be_dialled_are_taken(address: str, scope: int | None, host: str | None) -> None:
    assert host_literal(ipaddress.ip_address(address).packed, scope, loopback=False) == host


def test_loopback_is_taken_only_where_we_are_on_loopback_ourselves() -> None:
    assert host_literal(b"\x7f\x00\x00\x01", None, loopback=True) == "127.0.0.1"


@given(st.binary(max_size=20), st.none() | st.integers(0, 2**32))
def test_any_rdata_is_a_host_or_nothing(packed: bytes, scope: int | None) -> None:
    host = host_literal(packed, scope, loopback=True)
    assert host is None or ipaddress.ip_address(host).packed == packed
