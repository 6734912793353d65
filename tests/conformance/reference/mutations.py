"""The checks of the reference implementation that can be removed, one at a time, to see the kit notice.

Each mutation names the requirement that must then fail. A conforming hub has none.
"""

from __future__ import annotations

from enum import Enum
from typing import TypeAlias


class Mutation(Enum):
    """One check removed or one duty left undone: (the requirement it breaks, what the hub then does)."""

    SMALL_ORDER_KEYS = ("R1", "verifies under, and admits, keys of small order")
    MIXED_ORDER_KEYS = ("R2", "admits keys outside the prime-order subgroup")
    ZERO_SECRET = ("R3", "goes on with an all-zero X25519 result")
    FLOATS = ("R4", "reads a float as the integer it equals")
    NOT_CANONICAL = ("R5", "reads longer encodings than the shortest")
    TRAILING_BYTES = ("R6", "ignores bytes after the value")
    EXTRA_ELEMENTS = ("R7", "ignores surplus elements of a message")
    BOOLEANS_AS_INTEGERS = ("R7", "reads true as 1")
    ZERO_LENGTH = ("R11", "skips frames of length 0")
    LONG_HANDSHAKE = ("R11", "reads handshake frames of any length")
    PATIENT_HANDSHAKE = ("R12", "waits for a handshake without limit")
    ANY_VERSION = ("R13", "answers any version byte")
    UNCHECKED_SECRET = ("R14", "answers a first message that does not decrypt")
    UNCHECKED_PROOF = ("R15", "does not check the signature of a proof")
    ANY_ROLE = ("R15", "accepts a proof made for the other role")
    UNEXPECTED_AUTHOR = ("R15", "goes on with another author than the one it dialled")
    TAMPERED_FRAMES = ("R17", "skips frames that do not decrypt")
    NO_REKEY = ("R18", "never rekeys")
    BOTH_LINKS = ("R19", "keeps two links to one author")
    OLDER_LINK = ("R19", "keeps the older of two links")
    ALTERED_RECORDS = ("R20", "decodes and writes anew what it relays, with its own terms")
    ANY_MESH = ("R21", "does not look at the mesh of a record")
    ANY_RECORD_VERSION = ("R21", "does not look at the version of a record")
    UNCHECKED_COMMITMENT = ("R22", "lets a rotation bring any key")
    UNCHECKED_KEY_STATE = ("R22", "does not check the signatures of a key state")
    ROLLED_BACK = ("R23", "lets an older key state replace a newer one")
    ANY_AUDIENCE = ("R24", "relays vectors for audiences it does not know")
    AUDIENCE_CLOSES = ("R24", "closes the link on an audience it does not know")
    ZERO_DEVIATION = ("R25", "accepts a standard deviation of 0")
    DIMENSION_CLOSES = ("R26", "closes the link on an unregistered dimension")
    ANY_DIMENSION = ("R26", "relays unregistered dimensions")
    UNKNOWN_MESSAGES = ("R27", "skips messages it does not know")
    FIRST_OF_BAD_FRAME = ("R27", "acts on the messages before the one that is wrong")
    BEFORE_HELLO = ("R28", "acts on messages that come before HELLO")
    SECOND_HELLO = ("R28", "accepts a second HELLO")
    NO_PONG = ("R29", "does not answer PING")
    NO_BEAT = ("R30", "sends nothing when it has nothing to say")
    NO_KEYS_ANSWER = ("R31", "does not answer WANT_KEYS")
    BAD_KEYS_KEPT = ("R31", "keeps the link on which an invalid key state came")
    UNCHECKED_ADDRESSES = ("R31", "does not check the signature of an addresses record")
    DUPLICATES_VERIFIED = ("R32", "verifies what it holds already, and closes the link if the signature is wrong")
    RELAYED_TWICE = ("R32", "relays what it holds already")
    BAD_VECTOR_KEPT = ("R33", "keeps the link on which an invalid vector came")
    LOWER_NUMBERS = ("R34", "lets an older vector replace a newer one")
    ANY_AGE = ("R35", "takes a vector whose age has reached its lease")
    KEYS_NOT_WANTED = ("R36", "does not ask for the keys of an author it does not know")
    PENDING_FOR_EVER = ("R36", "keeps vectors of unknown authors pending without limit of time")
    PENDING_RENEWED = ("R36", "lets every pending vector of a link wait anew when another comes")
    PENDING_WITHOUT_END = ("R36", "keeps any number of vectors pending")
    OLD_ROTATION = ("R36", "accepts a vector under an earlier key of its author")
    FORGER_KEPT = ("R37", "keeps the link on which a forged vector came")
    SILENCED_BY_FORGERY = ("R37", "remembers the number of a forged vector")
    FORGERY_ENDS_PENDING = ("R37", "drops every pending vector of an author with the first forged one")
    RELAYS_UNVERIFIED = ("R38", "relays before it verifies")
    IGNORES_MAY_RELAY = ("R39", "relays whatever the terms say")
    NO_KEYS_FIRST = ("R41", "sends vectors without the keys they need")
    AGE_STANDS_STILL = ("R42", "does not count the time a vector was held")
    SENDS_EXPIRED = ("R42", "sends vectors whose lease is over")
    NO_SPACING = ("R43", "sends every vector at once")
    NO_PRUNE = ("R44", "does not prune the link of a duplicate")
    PRUNES_THE_AUTHOR = ("R44", "prunes the author's own link")
    IGNORES_PRUNE = ("R45", "goes on pushing after PRUNE")
    IGNORES_GRAFT = ("R45", "does not answer GRAFT")
    NO_DIGEST = ("R46", "sends no digests")
    DIGESTS_ONCE = ("R46", "does not repeat a digest that has not changed")
    NO_GRAFT = ("R47", "does not graft when a digest shows it is behind")
    SUPERSEDED_LINK = ("R48", "keeps a link whose handshake showed an older key state than the one known")
    NO_NEIGHBOR_ANSWER = ("R49", "does not answer NEIGHBOR")
    NO_JOIN_ANSWER = ("R49", "does not answer JOIN")
    NO_SHUFFLE_ANSWER = ("R53", "does not answer a SHUFFLE that ends")
    UNCHECKED_WALKS = ("R54", "does not check the records in FORWARD_JOIN and SHUFFLE")
    NO_PROBE_ANSWER = ("R70", "does not answer PING_REQ")
    VOUCHES_UNSEEN = ("R70", "says PROBE_ACK without having looked")
    TESTED_BLINDLY = ("R71", "claims to have tested what it has no link with")
    NO_REFUTATION = ("R72", "lets a suspicion of itself stand")
    BELIEVES_NUMBERS = ("R72", "believes any refutation number")
    KEEPS_SUSPICION = ("R73", "does not let a suspected neighbor know")
    KEEPS_REFUTATION = ("R73", "does not pass the suspect's answer back")
    NO_GRAFT_ON_LOSS = ("R47", "does not graft elsewhere when the source link goes down")

    def __init__(self, requirement: str, what: str) -> None:
        self.requirement = requirement
        self.what = what


Mutations: TypeAlias = frozenset[Mutation]
NONE: Mutations = frozenset()
