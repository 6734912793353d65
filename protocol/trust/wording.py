"""An explanation in words for people, one line a fact; whoever shows it brings the names."""

from __future__ import annotations

from collections.abc import Callable

from protocol.ids import AuthorId
from protocol.trust.values import Explanation, Line, Source


def in_words(why: Explanation, name: Callable[[AuthorId], str]) -> list[str]:
    """What docs/trust.md, "Reading an explanation", shows; ``name`` says how somebody is called here."""
    standing = why.standing
    told = [f"standing of {name(standing.subject)}: {standing.value:.2f}"]
    told += [
        f"  {_who(line, name):<40}weight {line.weight:.2f}, opinion {line.opinion:+.2f}" for line in standing.lines
    ] or ["  nothing is known"]
    ways = [f"{' > '.join(['you', *map(name, path.hubs[1:])])} ({path.walks})" for path in why.paths]
    told.append(f"met by {why.met} of {why.walks} walks" + (f": {', '.join(ways)}" if ways else ""))
    marks = [
        text
        for text, on in (
            ("a contact", why.contact),
            ("not a contact", not why.contact),
            ("blocked", why.blocked),
            ("muted", why.muted),
            ("proven malicious, not settled", why.proven),
        )
        if on
    ]
    told.append(f"attention: {why.attention.name.lower()}; {', '.join(marks)}")
    return told


def _who(line: Line, name: Callable[[AuthorId], str]) -> str:
    through = "" if line.through is None else name(line.through)
    hubs = "1 hub" if line.voices == 1 else f"{line.voices} hubs"
    return {
        Source.OWN_WORD: "your own word",
        Source.SESSIONS: f"sessions shared: {line.voices}",
        Source.CONTACT: f"{through}, whom you trust",
        Source.FURTHER: f"{hubs} through {through}",
        Source.STRANGERS: f"strangers, together: {line.voices}",
        Source.THEIR_WORD: "what they say of you",
        Source.PROOF: "a proof of malice",
    }[line.source]
