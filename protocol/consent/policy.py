"""The one gate: ``decide`` says whether a vector may leave, be kept, passed on, counted or recorded.

Called before every data-bearing send and after every receipt (style 1.13). Default deny: what is not granted is
refused, an unknown dimension, audience or purpose is refused, an expired lease is refused. A relay reads only what
the vector itself says (terms, audience, lease), because it has no chain to consult; the author reads the grant.
Invariant: no argument makes ``decide`` raise, and no answer but ``ALLOWED`` lets data pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, unique
from typing import Final

from protocol import limits
from protocol.errors import ConfigError, Reason
from protocol.inputs import CommonsGrant
from protocol.wire.records import COMMONS, MAY_AGGREGATE, MAY_RECORD, MAY_RELAY
from protocol.wire.registry import DIMENSIONS


@unique
class Purpose(Enum):
    """What somebody wants to do with a vector; the list is closed."""

    PUBLISH = "publish"
    KEEP = "keep"
    RELAY = "relay"
    AGGREGATE = "aggregate"
    RECORD = "record"


@dataclass(frozen=True, slots=True)
class Decision:
    """The gate's answer; ``reason`` is None exactly if ``allowed``."""

    allowed: bool
    reason: Reason | None = None


ALLOWED: Final = Decision(True)
DENIED: Final = Decision(False, Reason.NOT_CONSENTED)
EXPIRED: Final = Decision(False, Reason.LEASE_EXPIRED)
UNKNOWN_AUDIENCE: Final = Decision(False, Reason.UNKNOWN_AUDIENCE)
UNKNOWN_DIMENSION: Final = Decision(False, Reason.UNKNOWN_DIMENSION)

_TERM: Final = {Purpose.RELAY: MAY_RELAY, Purpose.AGGREGATE: MAY_AGGREGATE, Purpose.RECORD: MAY_RECORD}
_KEEP: Final = Purpose.KEEP
_PUBLISH: Final = Purpose.PUBLISH


def decide(
    purpose: Purpose,
    *,
    audience: int,
    terms: int,
    dims: tuple[int, ...],
    lease_left_us: int,
    grant: CommonsGrant | None = None,
    own: bool = False,
) -> Decision:
    """Whether ``purpose`` may happen to a vector with these properties now.

    ``own`` vectors need a ``grant`` that covers every dimension and every term, for every purpose that lets them
    leave. ``lease_left_us`` <= 0 means that the time is over.
    """
    if audience != COMMONS:
        return UNKNOWN_AUDIENCE
    for dim in dims:
        if dim not in DIMENSIONS:
            return UNKNOWN_DIMENSION
    if lease_left_us <= 0:
        return EXPIRED
    if own and purpose is not _KEEP and not _granted(grant, terms, dims):
        return DENIED
    if purpose is _KEEP or purpose is _PUBLISH:
        return ALLOWED  # no term speaks of them
    needed = _TERM.get(purpose, 0)
    if own and purpose is Purpose.RELAY:
        needed = 0  # the author's own sending is PUBLISH; the term speaks of others
    return ALLOWED if terms & needed == needed else DENIED


def _granted(grant: CommonsGrant | None, terms: int, dims: tuple[int, ...]) -> bool:
    if grant is None or terms & ~terms_of(grant):
        return False
    return dims == grant.dimensions or all(dim in grant.dimensions for dim in dims)


def terms_of(grant: CommonsGrant) -> int:
    """The terms bits that a grant puts into its vectors."""
    return (
        (MAY_RELAY if grant.may_relay else 0)
        | (MAY_AGGREGATE if grant.may_aggregate else 0)
        | (MAY_RECORD if grant.may_record else 0)
    )


def check_grant(grant: CommonsGrant) -> CommonsGrant:
    """Return ``grant`` if it can be kept.

    Raises:
        ConfigError: names the field and its bound.
    """
    if not 1 <= len(grant.dimensions) <= limits.DIMENSIONS_MAX:
        raise ConfigError(f"dimensions: 1..{limits.DIMENSIONS_MAX} are needed")
    if any(dim not in DIMENSIONS for dim in grant.dimensions) or list(grant.dimensions) != sorted(
        set(grant.dimensions)
    ):
        raise ConfigError("dimensions: must be registered ids, ascending, each once")
    if grant.levels != 0 and not 2 <= grant.levels <= 65_535:
        raise ConfigError("levels: 0 (full resolution) or 2..65,535")
    if not limits.CADENCE_MS_MIN <= grant.cadence_ms <= limits.CADENCE_MS_MAX:
        raise ConfigError(f"cadence_ms: {limits.CADENCE_MS_MIN}..{limits.CADENCE_MS_MAX}")
    if not limits.LEASE_MS_MIN <= grant.lease_ms <= limits.LEASE_MS_MAX:
        raise ConfigError(f"lease_ms: {limits.LEASE_MS_MIN}..{limits.LEASE_MS_MAX}")
    return grant
