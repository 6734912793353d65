"""What the payloads of the known kinds say (docs/protocol.md, section 12.4), read and made.

Texts travel as byte strings of UTF-8, because a string on the wire has at most 255 bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from protocol import limits
from protocol.errors import ConfigError, DecodeError, Reason
from protocol.ids import EVENT_BYTES, EventId
from protocol.wire import fields
from protocol.wire.codec import Value, decode, encode

NAME_BYTES_MAX: Final = 64
ABOUT_BYTES_MAX: Final = 1_024
NOTE_BYTES_MAX: Final = 1_024
LANGUAGE_BYTES_MAX: Final = 35
"""BCP 47 (RFC 5646), section 4.4.1: what any useful tag fits into."""
STORY_BYTES_MAX: Final = limits.PAYLOAD_BYTES_MAX - 64


@dataclass(frozen=True, slots=True)
class Profile:
    """How a person wants to be called."""

    name: str
    about: str


@dataclass(frozen=True, slots=True)
class Story:
    """Words, and the language they are in as a BCP 47 tag; empty: not said."""

    text: str
    language: str


@dataclass(frozen=True, slots=True)
class Base:
    """What a checkpoint or a stolen statement keeps of what came before, and words about it."""

    keep: tuple[EventId, ...]
    note: str


def encode_profile(profile: Profile) -> bytes:
    """The payload of a profile.

    Raises:
        ConfigError: too long, or control characters.
    """
    return _checked(encode((profile.name, profile.about.encode())), decode_profile)


def decode_profile(content: bytes) -> Profile:
    """What a profile's payload says.

    Raises:
        DecodeError: it is none.
    """
    name, about = fields.array(decode(content), "profile", 2, 2)
    return Profile(fields.text(name, "name", NAME_BYTES_MAX), _words(about, "about", 0, ABOUT_BYTES_MAX))


def encode_story(story: Story) -> bytes:
    """The payload of a story.

    Raises:
        ConfigError: empty, too long, or no language tag.
    """
    return _checked(encode((story.text.encode(), story.language)), decode_story)


def decode_story(content: bytes) -> Story:
    """What a story's payload says.

    Raises:
        DecodeError: it is none.
    """
    text, language = fields.array(decode(content), "story", 2, 2)
    tag = fields.text(language, "language", LANGUAGE_BYTES_MAX)
    if tag and not all(part.isascii() and part.isalnum() and len(part) <= 8 for part in tag.split("-")):
        raise DecodeError(Reason.BAD_CONTENT, "language is not a BCP 47 tag")
    return Story(_words(text, "text", 1, STORY_BYTES_MAX), tag)


def encode_withdrawal(events: tuple[EventId, ...]) -> bytes:
    """The payload of a withdrawal.

    Raises:
        ConfigError: none, too many, or one twice.
    """
    return _checked(encode((events,)), decode_withdrawal)


def decode_withdrawal(content: bytes) -> tuple[EventId, ...]:
    """The events that a withdrawal's payload names.

    Raises:
        DecodeError: it is none.
    """
    (events,) = fields.array(decode(content), "withdrawal", 1, 1)
    return tuple(EventId(name) for name in fields.binaries(events, "events", EVENT_BYTES, limits.WITHDRAWN_MAX))


def encode_base(base: Base) -> bytes:
    """The payload of a checkpoint or a stolen statement.

    Raises:
        ConfigError: it keeps too many, or not in ascending order, or the note is too long.
    """
    return _checked(encode((b"".join(base.keep), base.note.encode())), decode_base)


def decode_base(content: bytes) -> Base:
    """What the payload of a checkpoint or a stolen statement says.

    Raises:
        DecodeError: it is none.
    """
    packed, note = fields.array(decode(content), "base", 2, 2)
    names = fields.binary(packed, "keep", 0, limits.NAMED_MAX * EVENT_BYTES)
    if len(names) % EVENT_BYTES:
        raise DecodeError(Reason.BAD_CONTENT, f"keep is not made of {EVENT_BYTES} bytes each")
    keep = [EventId(names[at : at + EVENT_BYTES]) for at in range(0, len(names), EVENT_BYTES)]
    if any(left >= right for left, right in pairwise(keep)):
        raise DecodeError(Reason.BAD_CONTENT, "keep is not in ascending order")
    return Base(tuple(keep), _words(note, "note", 0, NOTE_BYTES_MAX))


def _words(value: Value, name: str, low: int, high: int) -> str:
    raw = fields.binary(value, name, low, high)
    try:
        return raw.decode()
    except UnicodeDecodeError as fault:
        raise DecodeError(Reason.BAD_CONTENT, f"{name} is not UTF-8") from fault


def _checked(content: bytes, read: Callable[[bytes], object]) -> bytes:
    try:
        read(content)
    except DecodeError as fault:
        raise ConfigError(str(fault)) from fault
    return content
