"""Every bound of the protocol, with what an attacker gains without it.

Relations between bounds are asserted at import. A bound that travels (a peer can violate it) is also in
docs/protocol.md; the others are local and may differ between implementations.
"""

from __future__ import annotations

from typing import Final

from protocol.clock import MS, SECOND

# --- frames -----------------------------------------------------------------------------------------------------
FRAME_BYTES_MAX: Final = 65_535
"""u16 length prefix; also Noise's own message limit (rev. 34, section 3)."""
TAG_BYTES: Final = 16
PLAINTEXT_BYTES_MAX: Final = FRAME_BYTES_MAX - TAG_BYTES
HANDSHAKE_BYTES_MAX: Final = 1_400
"""Before authentication a stranger may make us hold one such message and no more."""
MESSAGES_PER_FRAME_MAX: Final = 128
"""Without it one frame of 65 KB holds 32,000 empty messages and stalls the loop."""

# --- codec ------------------------------------------------------------------------------------------------------
DEPTH_MAX: Final = 8
"""msgpack itself allows 1,024 levels; logging such an object can end a process."""
ITEMS_MAX: Final = 256
"""Elements in one array; 65 KB of nested arrays would become 4.7 MB of objects."""
STRING_BYTES_MAX: Final = 255

# --- records ----------------------------------------------------------------------------------------------------
VECTOR_BYTES_MAX: Final = 2_048
KEY_STATE_BYTES_MAX: Final = 1_024
ADDRESSES_BYTES_MAX: Final = 512
SIGNATURE_BYTES: Final = 64
ROTATIONS_MAX: Final = 3
"""What fits into KEY_STATE_BYTES_MAX beside the inception."""
CIRCLE_MAX: Final = 32
"""People in a circle (design decision 24); each is a box of 82 bytes in every word that is sealed to it."""
COUNTER_MAX: Final = (1 << 53) - 1
"""Boot, sequence and rotation numbers: exact in every language's number type, so arithmetic never overflows."""
LEASE_MS_MIN: Final = 1_000
LEASE_MS_MAX: Final = 60_000
"""A value outlives the wish to show it by at most this long, even at a hub that never hears of a revocation."""
CADENCE_MS_MIN: Final = 50
CADENCE_MS_MAX: Final = 60_000
AGE_MS_MAX: Final = 120_000
DT_MS_MIN: Final = 10
DT_MS_MAX: Final = 60_000
BLOCK_SAMPLES_MAX: Final = 128
DIMENSIONS_MAX: Final = 8
FUTURE_MS_MAX: Final = 120_000
"""A stamp further ahead of a known good date is held back, never stored as latest."""
CLOCK_ERROR_MS_MAX: Final = 1_000
"""A date with a larger error bound is no date: it must not silence anybody."""
LEASE_SLACK_MS: Final = 5_000

# --- lists on the wire ------------------------------------------------------------------------------------------
WANTED_KEYS_MAX: Final = 64
DIGEST_ENTRIES_MAX: Final = 256
TAGS_MAX: Final = 256
NEIGHBORS_MAX: Final = 32
PEERS_MAX: Final = 8
ADDRESSES_MAX: Final = 4
HOST_BYTES_MAX: Final = 64
AGENT_BYTES_MAX: Final = 64
TAG_AUTHOR_BYTES: Final = 8

# --- walks ------------------------------------------------------------------------------------------------------
WALK_HOPS_MAX: Final = 16
"""How far a join or a shuffle may say that it goes; a hub takes it for no more than its own setting."""
RECORDS_PER_SECOND: Final = 16
RECORDS_BURST: Final = 64
"""Peer records that one link may make us check in walks and shuffles; an honest one brings two a second at most."""

# --- trees ------------------------------------------------------------------------------------------------------
GOSSIP_ID_BYTES_MIN: Final = 16
GOSSIP_ID_BYTES_MAX: Final = 32
GOSSIP_TAG_BYTES: Final = 4
"""How IHAVE and TREE_GRAFT name a message: the last bytes of its id. Whoever makes two of his own messages share
them spoils their repair by lazy links, and nothing else: duplicates are known by whole ids."""
IHAVE_ENTRY_BYTES: Final = GOSSIP_TAG_BYTES + 1
IHAVE_IDS_MAX: Final = 256
"""What one message may announce; without it one frame makes a hub wait for 13,000 messages that do not exist."""
TREE_GRAFT_IDS_MAX: Final = 64
"""What one message may ask for; each is answered with up to GOSSIP_BYTES_MAX."""
GOSSIP_BYTES_MAX: Final = 4_096
"""Payload of one tree message: an event and its neighbors' heads; larger things travel in chunks on request."""
GOSSIP_HOPS_MAX: Final = 255
"""Hops are counted up to here and stay there: a hub that overstates them cannot end a message's way."""

# --- reconciliation ---------------------------------------------------------------------------------------------
FRONTIER_MAX: Final = 1 << 17
"""Entries of a frontier that can be said: ten times the largest mesh that is meant; memory follows what is said."""
SYMBOLS_MAX: Final = 3_072
FINGERPRINTS_MAX: Final = 4_096
ENTRIES_MAX: Final = 256
ENTRIES_ASKED_MAX: Final = 1_024
"""What one message holds, each as much as fits into one Send; more takes another round, and rounds are counted."""

# --- probes -----------------------------------------------------------------------------------------------------
PROBE_HOPS_MAX: Final = 1
"""How often a PING_REQ is passed on: once, so that whoever asks causes at most three messages more."""
PROBES_PER_SECOND: Final = 16
"""PING_REQs that one link may make us serve; a neighbor of 8 who suspects 5 at once asks 15 times."""
REFUTATION_STEP_MAX: Final = 64
"""How far ahead of what is known a refutation number is believed; without it one lie would use the numbers up."""

FLOW_BYTES_MAX: Final = 196_608
"""What may wait in order for one slow neighbor, of all that a peer may cost in memory; beyond it the link is closed."""

SERVED_BYTES_MAX: Final = 32_768
"""While more than this waits for a neighbor, nothing is added that it asked for: its other questions, and ours to it,
would be answered too late. The rest is for what nobody asked for."""

# --- durable events ---------------------------------------------------------------------------------------------
EVENT_BYTES_MAX: Final = 512
"""An event beside its payload: with eight heads it has at most 454 bytes."""
HEADS_MAX: Final = 8
"""Causal heads in one event, and branches of one author: without it a forger makes branches without end."""
KIND_MAX: Final = 65_535
SALT_BYTES: Final = 16
PAYLOAD_BYTES_MAX: Final = 2_097_152
CHUNK_BYTES: Final = 4_096
"""A tenth of a second at 40 kB/s: vectors, heartbeats and other words are never far behind a story, and eight neighbors
can each bring another part of a picture."""
CHUNKS_MAX: Final = PAYLOAD_BYTES_MAX // CHUNK_BYTES
CHUNKS_ASKED_MAX: Final = 16
"""What one message may ask for: 64 KiB in answer to 43 bytes, so it is served only to neighbors, as they have room."""
PROOF_BYTES_MAX: Final = 288
"""Nine siblings: a tree of 512 chunks."""
INLINE_BYTES_MAX: Final = 16_384
"""The largest payload that travels beside its event; more is asked for in chunks, once, by whoever wants it."""
NAMED_MAX: Final = 448
"""Events that a checkpoint keeps; its payload travels beside it."""
WITHDRAWN_MAX: Final = 16
"""Events that one withdrawal names."""
WANTED_AUTHORS_MAX: Final = 16
"""Authors whose events one message may ask for."""

# --- tables -----------------------------------------------------------------------------------------------------
LINKS_MAX: Final = 32
"""Hard ceiling of links; a HubConfig chooses fewer."""
AUTHORS_MAX: Final = 1_024
"""A mesh is made for up to 1,000 hubs; a valid signature is no reason to store (CVE-2023-40583)."""
PENDING_PER_LINK_MAX: Final = 64
PENDING_US: Final = 2 * SECOND
UNUSED_KEYS_PER_LINK_MAX: Final = 64
"""Key states that no verified vector has used yet."""
KEYS_REMEMBERED_MAX: Final = 2_048
"""Key states that one link is remembered to have carried."""
CANDIDATES_MAX: Final = 256
KNOWN_PEERS_MAX: Final = 512
STORED_PEERS_MAX: Final = 128
"""Peers that a hub finds again after a restart: at most 410 KB on disk, in hex."""
STORE_PEERS_US: Final = 30 * SECOND
"""Peers are stored no more often than this: strangers who come and go must not wear out a memory card."""
VERIFY_PER_SECOND: Final = 1_000
"""Signatures one link may make us check; 300 authors at 1 Hz need 300."""
VERIFY_BURST: Final = 1_000
OVERTAKE_US: Final = 5 * SECOND
"""Between two boots of our own that we go above: two hubs with one identity would outbid each other at every vector,
each time with two writes to a memory card."""
SEND_BYTES_MAX: Final = 24_576
"""Plaintext gathered into one Send: long enough to amortise a system call, short enough for a slow link."""

# --- times ------------------------------------------------------------------------------------------------------
SPACING_US: Final = 50 * MS
"""Half the cadence that is common at most: a late tick must not make the next vector wait (decision record 0003)."""
HANDSHAKE_US: Final = 5 * SECOND

assert PEERS_MAX * (KEY_STATE_BYTES_MAX + ADDRESSES_BYTES_MAX + SIGNATURE_BYTES + 16) < SEND_BYTES_MAX
assert DIGEST_ENTRIES_MAX * (TAG_AUTHOR_BYTES + 2 + 27 + 1) < SEND_BYTES_MAX
assert VECTOR_BYTES_MAX + SIGNATURE_BYTES + 16 < SEND_BYTES_MAX < PLAINTEXT_BYTES_MAX
assert max(DIGEST_ENTRIES_MAX, TAGS_MAX, MESSAGES_PER_FRAME_MAX) <= ITEMS_MAX
assert BLOCK_SAMPLES_MAX * DIMENSIONS_MAX * 2 < VECTOR_BYTES_MAX + 1
assert AGE_MS_MAX >= LEASE_MS_MAX
assert GOSSIP_BYTES_MAX + GOSSIP_ID_BYTES_MAX + 64 < SEND_BYTES_MAX
assert IHAVE_IDS_MAX * IHAVE_ENTRY_BYTES + 8 < SEND_BYTES_MAX
assert INLINE_BYTES_MAX + EVENT_BYTES_MAX + SIGNATURE_BYTES + SALT_BYTES + 32 < SEND_BYTES_MAX
assert NAMED_MAX * 32 + 512 < INLINE_BYTES_MAX
assert WITHDRAWN_MAX * 34 + 64 < GOSSIP_BYTES_MAX
assert CHUNK_BYTES + PROOF_BYTES_MAX + 128 < PLAINTEXT_BYTES_MAX
assert 1 << (PROOF_BYTES_MAX // 32) >= CHUNKS_MAX
assert EVENT_BYTES_MAX + SIGNATURE_BYTES + 16 < GOSSIP_BYTES_MAX
