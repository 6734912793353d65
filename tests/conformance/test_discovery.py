"""What the kit hears by multicast DNS and makes of it, tried on answers made here."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from tests.conformance.kit.checks_discovery import SERVICE, bits_of, judge_names, judge_texts
from tests.conformance.kit.dns import PTR, SRV, TXT, Announcement, announcements, ask, question, read_name
from tests.conformance.kit.results import Failed
from tests.conformance.reference.meshes import open_mesh, tag

MESH: Final = open_mesh("dns")
LABEL: Final = "q3r7v2m9k5x8z4ab"
HOST: Final = "h7j2d9f4s6a8w3eb"
AUTHOR: Final = bytes(range(32))


def labels(*names: bytes) -> bytes:
    """A name without compression."""
    return b"".join(bytes([len(name)]) + name for name in names) + b"\x00"


def record(name: bytes, kind: int, data: bytes) -> bytes:
    """A resource record with a time to live of 120 s."""
    return name + kind.to_bytes(2, "big") + b"\x00\x01" + (120).to_bytes(4, "big") + len(data).to_bytes(2, "big") + data


def answer(texts: list[bytes], port: int = 7_007) -> bytes:
    """A packet that announces one instance; names after the first point back at it."""
    header = b"\x00\x01\x84\x00" + bytes(2) + b"\x00\x01" + bytes(2) + b"\x00\x02"
    pointer = record(labels(*SERVICE), PTR, bytes([len(LABEL)]) + LABEL.encode() + b"\xc0\x0c")
    at = len(header) + len(pointer) - len(LABEL) - 3
    instance = bytes([0xC0 | at >> 8, at & 0xFF])
    service = record(instance, SRV, bytes(4) + port.to_bytes(2, "big") + labels(HOST.encode(), b"local"))
    text = record(instance, TXT, b"".join(bytes([len(entry)]) + entry for entry in texts))
    return header + pointer + service + text


def heard(texts: list[bytes]) -> list[Announcement]:
    """What the kit reads from such a packet."""
    return announcements([answer(texts)], SERVICE)


@contextmanager
def responder(packet: bytes) -> Iterator[tuple[str, int]]:
    """Somebody who answers each question with this packet."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        sock.settimeout(5.0)

        def serve() -> None:
            asked, sender = sock.recvfrom(512)
            assert asked == question(SERVICE, PTR)
            sock.sendto(packet, sender)

        thread = threading.Thread(target=serve)
        thread.start()
        address: tuple[str, int] = sock.getsockname()
        try:
            yield address
        finally:
            thread.join()


GOOD: Final = [b"txtvers=1", b"v=1", b"t=" + tag(MESH, LABEL).encode()]


def test_an_answer_is_read_with_its_compressed_names() -> None:
    (found,) = heard(GOOD)
    assert (found.instance[0].decode(), found.port, found.host[0].decode()) == (LABEL, 7_007, HOST)
    assert found.txt == GOOD


def test_an_answer_is_heard_from_the_network() -> None:
    with responder(answer(GOOD)) as group:
        packets = ask(SERVICE, PTR, 0.5, "127.0.0.1", group)
    assert packets[0] == answer(GOOD)


def test_the_right_tag_and_random_labels_pass() -> None:
    assert "right tag" in judge_texts(MESH, heard(GOOD))
    assert "80 bits" in judge_names(heard(GOOD), {"its author id": AUTHOR})


@pytest.mark.parametrize(
    "texts",
    [
        [b"txtvers=1", b"v=1", b"t=" + tag(open_mesh("other"), LABEL).encode()],
        [b"txtvers=1", b"v=1"],
        [b"v=1", GOOD[2]],
        [b"txtvers=1", b"v=2", GOOD[2]],
        [b"txtvers=1", b"v=1", GOOD[2].upper().replace(b"T=", b"t=")],
    ],
)
def test_a_wrong_text_record_fails(texts: list[bytes]) -> None:
    with pytest.raises(Failed):
        judge_texts(MESH, heard(texts))


@pytest.mark.parametrize("spelling", [AUTHOR.hex().encode(), AUTHOR.hex().upper().encode(), AUTHOR])
def test_an_author_id_in_any_spelling_fails(spelling: bytes) -> None:
    with pytest.raises(Failed, match="its author id"):
        judge_names(heard([*GOOD, b"a=" + spelling]), {"its author id": AUTHOR})


def test_a_label_that_cannot_hold_eighty_bits_fails() -> None:
    assert (bits_of("0123456789abcdef"), bits_of("q3r7v2m9k5x8z4ab")) == (64, 80)
    short = Announcement((b"anna-s-hub", *SERVICE), 7_007, (HOST.encode(), b"local"))
    with pytest.raises(Failed, match="anna-s-hub"):
        judge_names([short], {})


@pytest.mark.parametrize("cut", range(0, len(answer(GOOD)), 7))
def test_an_answer_cut_short_is_left_out_or_read_in_part(cut: int) -> None:
    for found in announcements([answer(GOOD)[:cut]], SERVICE):
        assert found.instance[0].decode() == LABEL


def test_a_name_that_points_at_itself_is_no_name() -> None:
    assert announcements([answer(GOOD)[:12] + b"\xc0\x0c" + bytes(10)], SERVICE) == []
    assert read_name(labels(b"a", b"b"), 0) == ((b"a", b"b"), 5)
