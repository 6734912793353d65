"""Every requirement of docs/protocol.md in a few words, and why some cannot be seen from outside.

A test compares the ids with those of the document, both ways.
"""

from __future__ import annotations

from typing import Final

REQUIREMENTS: Final[dict[str, str]] = {
    "R1": "small-order and non-canonical Ed25519 keys are refused",
    "R2": "a key outside the prime-order subgroup is not admitted",
    "R3": "an all-zero X25519 result is refused",
    "R4": "maps, floats and extension types are refused",
    "R5": "one value, one encoding",
    "R6": "depth, elements and trailing bytes are bounded",
    "R7": "lists are exact, a boolean is not an integer",
    "R8": "announcement by DNS-SD",
    "R9": "announced names are random and change",
    "R10": "discovery adds addresses only",
    "R11": "frames of length 0, and long ones in a handshake, close",
    "R12": "a handshake ends within 5 s",
    "R13": "another version byte closes, nothing is sent",
    "R14": "a message that does not decrypt closes, nothing is sent",
    "R15": "a wrong proof closes, nothing is sent",
    "R16": "a link with oneself is closed",
    "R17": "a body that does not decrypt closes",
    "R18": "rekey after 65,536 frames",
    "R19": "of two links to one author one is kept",
    "R20": "relays pass signed bytes on; records are named by their content",
    "R21": "records of another domain, mesh or version are refused",
    "R22": "a key state is whole or refused",
    "R23": "the key state with more rotations wins",
    "R24": "another audience is dropped, the link kept",
    "R25": "a standard deviation of 0 is refused",
    "R26": "an unregistered dimension is dropped, the link kept",
    "R27": "a frame that breaks a rule is refused whole and closes",
    "R28": "HELLO comes first and once",
    "R29": "PING is answered",
    "R30": "a beat each second",
    "R31": "WANT_KEYS is answered; invalid records close",
    "R32": "what is held already is dropped",
    "R33": "an invalid vector is dropped and closes",
    "R34": "an older vector is dropped, the link kept",
    "R35": "a vector past its lease or out of its time is dropped, the link kept",
    "R36": "vectors of unknown authors wait, bounded, for their keys",
    "R37": "a forged vector closes that link and changes nothing",
    "R38": "nothing is relayed unverified",
    "R39": "no relay without the author's leave",
    "R40": "a hub overtakes its own higher boot",
    "R41": "keys go before vectors",
    "R42": "age grows, and ends at the lease",
    "R43": "only the newest waits, 100 ms apart",
    "R44": "a duplicate is pruned",
    "R45": "PRUNE and GRAFT are obeyed",
    "R46": "lazy authors are digested each second",
    "R47": "whoever is behind grafts",
    "R48": "a link under an older key state is closed",
}

NOT_TESTABLE: Final[dict[str, str]] = {
    "R10": "nobody outside can tell by which way a hub learned an address, and the end of a record must change nothing",
    "R16": "only the hub itself can prove its own author, so no outsider can offer it such a proof",
    "R40": "needs a record signed by the hub's own key with a boot it has forgotten, so a restart from a backup",
}
