"""The real hub with exactly one check taken out, to see that the kit notices.

``python -m tests.conformance.broken_hub NAME run ...`` is ``meshnode run ...`` without one check. Each mutation names
the requirement it breaks; ``none`` is the hub as it is.
"""

# mypy: disable-error-code="assignment,method-assign,attr-defined"

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final

from meshnode.cli.main import main
from protocol import identity, node, reception
from protocol.consent import policy
from protocol.errors import Reason
from protocol.gossip import outflow, shelf, trees, vectors
from protocol.ledger import archive, chain, intake
from protocol.link import handshake
from protocol.membership import liveness
from protocol.reconcile import frontier
from protocol.wire import codec, messages, records
from protocol.wire.messages import Hello, Message


def _signatures_unchecked() -> None:
    real = node.Node.__init__

    def lenient(self: node.Node, *arguments: Any, **named: Any) -> None:
        named["verifier"] = lambda _key, _message, _signature: True
        real(self, *arguments, **named)

    node.Node.__init__ = lenient


def _encoding_unchecked() -> None:
    def lenient(data: bytes) -> codec.Value:
        import msgpack

        value: codec.Value = msgpack.unpackb(data, use_list=False, raw=False)
        return value

    codec.decode_for_schema = lenient
    messages.decode_for_schema = lenient
    records.decode_for_schema = lenient


def _older_numbers_accepted() -> None:
    shelf.Shelf.mark = lambda _self, _author: (-1, 0, 0)


def _relays_without_leave() -> None:
    del policy._TERM[policy.Purpose.RELAY]


def _age_does_not_grow() -> None:
    real = shelf.Held.age_us
    shelf.Held.age_us = lambda self, _now: real(self, self.made_at)


def _keys_not_sent() -> None:
    outflow.Outflow._keys_message = lambda _self, _lane, _author, _messages: 0


def _second_hello_accepted() -> None:
    real = reception.Reception._hello

    def lenient(self: reception.Reception, link: Any, port: Any, hello: Hello, now: int) -> Any:
        return [] if port.open else real(self, link, port, hello, now)

    reception.Reception._hello = lenient


def _unknown_dimension_closes() -> None:
    vectors._KEPT_LINK = (Reason.UNKNOWN_AUDIENCE, Reason.BAD_KEY)


def _mesh_of_records_unchecked() -> None:
    real = records.header

    def lenient(value: Any, domain: str, mesh: Any, arity: int) -> Any:
        return real((value[0], mesh, *value[2:]), domain, mesh, arity)

    records.header = lenient
    identity.header = lenient


def _never_prunes() -> None:
    vectors.Vectors._superfluous = lambda *_arguments: None


def _bad_frames_keep_the_link() -> None:
    real = reception.Reception.frame

    def lenient(self: reception.Reception, link: Any, frame: bytes, now: int) -> Any:
        effects = real(self, link, frame, now)
        bad = any(getattr(effect, "reason", None) is Reason.UNKNOWN_MESSAGE for effect in effects)
        return [] if bad else effects

    reception.Reception.frame = lenient


def _keys_not_admitted() -> None:
    identity.admit_key = lambda key: key


def _proof_unchecked() -> None:
    handshake.verify = lambda _key, _message, _signature: True


def _pings_unanswered() -> None:
    real = reception.Reception._message

    def deaf(self: reception.Reception, link: Any, port: Any, message: Message, now: int) -> Any:
        return [] if isinstance(message, messages.Ping) else real(self, link, port, message, now)

    reception.Reception._message = deaf


def _never_beats() -> None:
    real = liveness.Liveness.tick
    liveness.Liveness.tick = lambda self, now: (real(self, now)[0], [])


def _unverified_is_relayed() -> None:
    real = vectors.Vectors._hold

    def eager(self: vectors.Vectors, link: Any, lane: Any, pending: Any, now: int) -> Any:
        made_at = now - pending.message.age_ms * 1_000
        held = shelf.Held(pending.record, pending.message.signed, pending.message.signature, made_at, link)
        self.shelf.put(held)
        self._push(pending.record.author, link)
        return real(self, link, lane, pending, now)

    vectors.Vectors._hold = eager


def _events_unverified() -> None:
    intake.Intake._check = lambda _self, _event: None


def _any_parent() -> None:
    chain.follows = lambda _event, _parent: True


def _forks_not_told() -> None:
    intake.Intake._tell = lambda _self, _author, _fork, _source: None


def _withdrawals_ignored() -> None:
    archive.Archive._withdraw = lambda _self, _chain, _payload, _now: None


def _trees_never_prune() -> None:
    trees.Trees._prune_once = lambda *_arguments: None


def _equal_marks_answered() -> None:
    def answered(self: frontier.Frontier, salt: bytes) -> bytes:
        return salt + bytes(8)

    frontier.Frontier.mark = answered


MUTATIONS: Final[dict[str, tuple[str, Callable[[], None]]]] = {
    "signatures-unchecked": ("R37", _signatures_unchecked),
    "encoding-unchecked": ("R5", _encoding_unchecked),
    "older-numbers-accepted": ("R34", _older_numbers_accepted),
    "relays-without-leave": ("R39", _relays_without_leave),
    "age-does-not-grow": ("R42", _age_does_not_grow),
    "keys-not-sent": ("R41", _keys_not_sent),
    "second-hello-accepted": ("R28", _second_hello_accepted),
    "unknown-dimension-closes": ("R26", _unknown_dimension_closes),
    "mesh-of-records-unchecked": ("R21", _mesh_of_records_unchecked),
    "never-prunes": ("R44", _never_prunes),
    "bad-frames-keep-the-link": ("R27", _bad_frames_keep_the_link),
    "keys-not-admitted": ("R2", _keys_not_admitted),
    "proof-unchecked": ("R15", _proof_unchecked),
    "pings-unanswered": ("R29", _pings_unanswered),
    "never-beats": ("R30", _never_beats),
    "unverified-is-relayed": ("R38", _unverified_is_relayed),
    "events-unverified": ("R80", _events_unverified),
    "any-parent": ("R81", _any_parent),
    "forks-not-told": ("R85", _forks_not_told),
    "withdrawals-ignored": ("R88", _withdrawals_ignored),
    "trees-never-prune": ("R89", _trees_never_prune),
    "equal-marks-answered": ("R92", _equal_marks_answered),
}


def break_hub(name: str) -> None:
    """Take the check called ``name`` out of this process; ``none`` leaves everything."""
    if name != "none":
        MUTATIONS[name][1]()


if __name__ == "__main__":
    break_hub(sys.argv.pop(1))
    main(prog_name="meshnode")
