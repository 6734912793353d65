"""The book of key states: which key verifies whom (design decision 8).

The highest rotation wins for good. Bounds: key states that no verified vector has used yet count against the link
that brought them; all others against the authors that may be held.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import Reason, RemoteProtocolError
from protocol.identity import KeyState, decode_key_state
from protocol.ids import AuthorId, LinkId, MeshId
from protocol.limits import AUTHORS_MAX, UNUSED_KEYS_PER_LINK_MAX


@dataclass(slots=True)  # state: changes in place
class _Entry:
    state: KeyState
    link: LinkId | None  # None once a verified vector or a link has used it
    used: int = 0  # the highest rotation that was used


class KeyBook:
    """Key states by author."""

    def __init__(self, mesh_id: MeshId) -> None:
        self._mesh_id = mesh_id
        self._entries: dict[AuthorId, _Entry] = {}
        self._unused: dict[LinkId, dict[AuthorId, None]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, author: AuthorId) -> KeyState | None:
        """The highest key state known of ``author``."""
        entry = self._entries.get(author)
        return None if entry is None else entry.state

    def learn(self, encoded: bytes, link: LinkId | None) -> tuple[KeyState, bool]:
        """Check and keep a key state; returns the one that counts now, and whether it is news.

        ``link`` None means that it was proven otherwise (a handshake, our own store).

        Raises:
            KeyStateError: the key state is invalid; nothing changed.
            RemoteProtocolError: ``AUTHOR_LIMIT`` when the book is full; nothing changed.
        """
        state = decode_key_state(encoded, self._mesh_id)
        entry = self._entries.get(state.author)
        if entry is not None:
            if state.rotation <= entry.state.rotation:
                return entry.state, False
            entry.state = state
            return state, True
        if len(self._entries) >= 2 * AUTHORS_MAX:
            raise RemoteProtocolError(Reason.AUTHOR_LIMIT, "key states")
        self._entries[state.author] = _Entry(state, link)
        if link is not None:
            unused = self._unused.setdefault(link, {})
            unused[state.author] = None
            if len(unused) > UNUSED_KEYS_PER_LINK_MAX:
                self.forget(next(iter(unused)))
        return state, True

    def use(self, author: AuthorId) -> KeyState | None:
        """A verified vector or a link of ``author`` exists: the key state is no longer on probation.

        Returns the key state if it was rotated and this is its first use: then it is worth persisting.
        """
        entry = self._entries.get(author)
        if entry is None:
            return None
        if entry.link is not None:
            self._unused.get(entry.link, {}).pop(author, None)
            entry.link = None
        if entry.used >= entry.state.rotation:
            return None
        entry.used = entry.state.rotation
        return entry.state

    def forget(self, author: AuthorId) -> None:
        """Drop the key state of ``author``, if there is one."""
        entry = self._entries.pop(author, None)
        if entry is not None and entry.link is not None:
            self._unused.get(entry.link, {}).pop(author, None)

    def link_down(self, link: LinkId) -> None:
        """Drop what only this link had brought and nothing used."""
        for author in list(self._unused.pop(link, {})):
            self._entries.pop(author, None)
