"""The book of key states: which key verifies whom (design decision 8).

The highest rotation wins for good: what was rotated is remembered even after its author is gone, so that a thief of
an old key cannot come back when nobody speaks of the author any more. Bounds: key states that no verified vector
has used yet count against the link that brought them; those of authors whose durable events are held are kept as long
as these, within the ledger's quotas; all others count against the authors that may be held.
"""

from __future__ import annotations

from dataclasses import dataclass

from protocol.errors import Reason, RemoteProtocolError
from protocol.identity import KeyState, decode_key_state
from protocol.ids import AuthorId, LinkId, MeshId
from protocol.limits import AUTHORS_MAX, KEYS_REMEMBERED_MAX, UNUSED_KEYS_PER_LINK_MAX


@dataclass(slots=True)  # state: changes in place
class _Entry:
    state: KeyState
    link: LinkId | None  # None once a verified vector or a link has used it
    used: int = 0  # the highest rotation that was used


@dataclass(frozen=True, slots=True)
class Learnt:
    """``given`` is what the bytes said, ``current`` what counts now, ``news`` whether that changed."""

    given: KeyState
    current: KeyState
    news: bool


class KeyBook:
    """Key states by author."""

    def __init__(self, mesh_id: MeshId) -> None:
        self._mesh_id = mesh_id
        self._entries: dict[AuthorId, _Entry] = {}
        self._unused: dict[LinkId, dict[AuthorId, None]] = {}
        self._rotated: dict[AuthorId, KeyState] = {}
        self._by_bytes: dict[bytes, KeyState] = {}
        self._kept: dict[AuthorId, int] = {}  # to the rotation that was given out for keeping

    def same(self, encoded: bytes) -> KeyState | None:
        """The key state held that has exactly these bytes: it need not be checked again."""
        return self._by_bytes.get(encoded)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, author: AuthorId) -> KeyState | None:
        """The highest key state known of ``author``."""
        entry = self._entries.get(author)
        return None if entry is None else entry.state

    def public_key(self, author: AuthorId, rotation: int) -> bytes | None:
        """The author's key of one rotation; None if it is not known."""
        entry = self._entries.get(author)
        return None if entry is None or rotation > entry.state.rotation else entry.state.keys[rotation]

    def keep(self, author: AuthorId) -> KeyState | None:
        """Durable events of ``author`` are held: its keys stay until :meth:`release`.

        Returns the key state if it is not on the disk as it is now.
        """
        entry = self._entries.get(author)
        if entry is None or self._kept.get(author, -1) >= entry.state.rotation:
            return None
        self._settle(author, entry)
        self._kept[author] = entry.state.rotation
        return entry.state

    def release(self, author: AuthorId) -> None:
        """No event of ``author`` is held any more."""
        self._kept.pop(author, None)

    def remember(self, encoded: bytes) -> None:
        """Take a rotated key state from our own store: an older one of that author is refused from now on.

        Raises:
            KeyStateError: the key state is invalid; nothing changed.
        """
        state = decode_key_state(encoded, self._mesh_id)
        self._keep_rotated(state)

    def learn(self, encoded: bytes, link: LinkId | None) -> Learnt:
        """Check and keep a key state. ``link`` None means that it was proven otherwise (a handshake, our own).

        Raises:
            KeyStateError: the key state is invalid; nothing changed.
            RemoteProtocolError: ``AUTHOR_LIMIT`` when the book is full; nothing changed.
        """
        state = self._by_bytes.get(encoded) or decode_key_state(encoded, self._mesh_id)
        entry = self._entries.get(state.author)
        if entry is not None:
            if state.rotation <= entry.state.rotation:
                return Learnt(state, entry.state, news=False)
            self._by_bytes.pop(entry.state.encoded, None)
            self._by_bytes[state.encoded] = state
            entry.state = state
            if entry.link is None:
                self._keep_rotated(state)
            return Learnt(state, state, news=True)
        if len(self._entries) - len(self._kept) >= 2 * AUTHORS_MAX:
            raise RemoteProtocolError(Reason.AUTHOR_LIMIT, "key states")
        rotated = self._rotated.get(state.author)
        current = state if rotated is None or rotated.rotation <= state.rotation else rotated
        self._entries[state.author] = _Entry(current, link)
        self._by_bytes[current.encoded] = current
        if link is not None:
            unused = self._unused.setdefault(link, {})
            unused[state.author] = None
            if len(unused) > UNUSED_KEYS_PER_LINK_MAX:
                self.forget(next(iter(unused)))
        return Learnt(state, current, news=True)

    def use(self, author: AuthorId) -> KeyState | None:
        """A verified vector or a link of ``author`` exists: the key state is no longer on probation.

        Returns the key state if it was rotated and this is its first use: then it is worth persisting.
        """
        entry = self._entries.get(author)
        if entry is None:
            return None
        self._settle(author, entry)
        if entry.used >= entry.state.rotation:
            return None
        entry.used = entry.state.rotation
        self._keep_rotated(entry.state)
        return entry.state

    def _settle(self, author: AuthorId, entry: _Entry) -> None:
        if entry.link is not None:
            self._unused.get(entry.link, {}).pop(author, None)
            entry.link = None

    def _keep_rotated(self, state: KeyState) -> None:
        known = self._rotated.pop(state.author, None)
        if known is not None and known.rotation > state.rotation:
            state = known
        if len(self._rotated) >= KEYS_REMEMBERED_MAX:
            del self._rotated[next(iter(self._rotated))]
        self._rotated[state.author] = state

    def forget(self, author: AuthorId) -> None:
        """Drop the key state of ``author``, unless it is kept; a rotation that was used is remembered."""
        if author in self._kept:
            return
        entry = self._entries.pop(author, None)
        if entry is not None:
            self._by_bytes.pop(entry.state.encoded, None)
            if entry.link is not None:
                self._unused.get(entry.link, {}).pop(author, None)

    def link_down(self, link: LinkId) -> None:
        """Drop what only this link had brought and nothing used."""
        for author in list(self._unused.pop(link, {})):
            self.forget(author)
