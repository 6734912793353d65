"""What a person reads about a standing."""

from __future__ import annotations

from protocol.ids import AuthorId
from protocol.trust.wording import in_words
from tests.unit.protocol.trust_rig import NOW, Told, hub, word

NAMES = ("Ada", "Ben", "Cyd", "Dan", "Eve")


def name(author: AuthorId) -> str:
    """By its number."""
    return NAMES[int.from_bytes(author, "big")]


def told(trust: Told, subject: int) -> list[str]:
    """In words."""
    return in_words(trust.trust.explain(hub(subject), NOW), name)


def test_every_line_can_be_read_and_checked_by_hand() -> None:
    said = [word(0, 1, 70), word(1, 3), word(1, 2), word(2, 3, 50), word(3, 0, -50), word(100, 3, -100)]
    trust = Told(*said)
    met = trust.trust.explain(hub(3), NOW).met
    lines = told(trust, 3)
    assert lines[:5] == [
        f"standing of Dan: {(0.82 + 0.3 * 0.7 - 0.3 - 2 * 0.7) / (0.82 + 0.3 + 0.3 + 2 + 0.5):.2f}",
        "  what they say of you                    weight 2.00, opinion -0.70",
        "  Ben, whom you trust                     weight 0.82, opinion +1.00",
        "  strangers, together: 1                  weight 0.30, opinion -1.00",
        "  1 hub through Ben                       weight 0.30, opinion +0.70",
    ]
    assert lines[5].startswith(f"met by {met} of 200 walks: you > Ben > Dan (")
    assert "you > Ben > Cyd > Dan (" in lines[5]
    assert lines[6] == "attention: neutral; not a contact"


def test_of_a_newcomer_nothing_is_said() -> None:
    assert told(Told(), 4) == [
        "standing of Eve: 0.00",
        "  nothing is known",
        "met by 0 of 200 walks",
        "attention: neutral; not a contact",
    ]


def test_marks_and_proofs_are_said() -> None:
    trust = Told(word(0, 1))
    trust.trust.session_shared(hub(1), NOW)
    assert told(trust, 1)[1:3] == [
        "  your own word                           weight 4.00, opinion +1.00",
        "  sessions shared: 1                      weight 0.10, opinion +1.00",
    ]
    assert told(trust, 1)[-1] == "attention: known; a contact"
    trust.trust.mute(hub(1), on=True)
    trust.trust.block(hub(1), on=True)
    trust.trust.prove(hub(1))
    assert told(trust, 1)[0:2] == [
        "standing of Ben: -1.00",
        "  a proof of malice                       weight 1.00, opinion -1.00",
    ]
    assert told(trust, 1)[-1] == "attention: hidden; a contact, blocked, muted, proven malicious, not settled"
