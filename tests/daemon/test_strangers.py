"""Whoever has proven nothing yet gets little: five seconds, one small message, a place among sixty-four."""

from __future__ import annotations

import contextlib
import resource
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
import trio

from meshnode.daemon import RunOptions
from meshnode.entropy import entropy
from meshnode.transport.admission import BURST, PENDING_MAX
from protocol.crypto import DhKey
from protocol.errors import HandshakeError, Reason
from protocol.identity import KeyState, LocalIdentity, Mesh, open_mesh
from protocol.link.handshake import PROLOGUE, PROOF_DOMAIN, RESPONDER_ROLE
from protocol.link.noise import HandshakeState
from protocol.wire.codec import encode
from protocol.wire.framing import frame
from tests.daemon.hostile import an_identity, connect, hostile, refused, shake, weak_key_state
from tests.daemon.networks import ManySources
from tests.daemon.processes import LOCAL, running
from tests.daemon.rig import can_bind, crew_in, mesh_name, resident_kb, until
from tests.unit.link.weak_keys import ed25519_small_order, x25519_small_order

pytestmark = pytest.mark.usefixtures("nothing_left")

OPENING_BYTES = 2 + 1 + 32 + 16
HALF_OPEN = 1_000


class PresentedKey:
    """A public key whose secret nobody has; whatever is agreed with it is zero."""

    def __init__(self, public: bytes) -> None:
        self.public = public

    def exchange(self, _public: bytes) -> bytes:
        return bytes(32)


def opening_with(mesh: Mesh, ephemeral: bytes) -> bytes:
    """The first message of somebody who holds the mesh secret and presents this key."""
    noise = HandshakeState(
        "XXpsk0",
        initiator=True,
        prologue=PROLOGUE + mesh.mesh_id,
        static=DhKey(entropy(32)),
        ephemeral=cast("DhKey", PresentedKey(ephemeral)),
        psk=mesh.psk,
    )
    return frame(b"\x01" + noise.write(lambda _hash: b""))


@pytest.fixture
def many_files() -> Iterator[None]:
    """Room for a thousand sockets more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = HALF_OPEN + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"this process may open {hard} files, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def prlimit() -> None:
    """Skip where there is no command that limits a process."""
    if shutil.which("prlimit") is None:
        pytest.skip("prlimit is not installed")


@pytest.fixture
def second_loopback() -> None:
    """An address for the hostile beside the honest one's; Linux has all of 127/8."""
    if not can_bind("127.0.0.2"):
        pytest.skip("127.0.0.2 is not an address of this machine")


async def test_who_says_nothing_or_a_byte_a_second_is_closed_after_five_seconds(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        friend = await crew.start("friend", peers__static=(hub.at,))
        opening = frame(b"\x01" + entropy(48))
        took: dict[str, float] = {}

        async def stranger(name: str, pause: float) -> None:
            begin = trio.current_time()
            async with await connect(hub.address) as stream, trio.open_nursery() as drip:

                async def trickle() -> None:
                    for byte in opening:
                        await trio.sleep(pause)
                        await stream.send_all(bytes([byte]))

                drip.start_soon(trickle)
                assert await refused(stream) == b"", name
                drip.cancel_scope.cancel()
            took[name] = trio.current_time() - begin

        with trio.fail_after(9):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stranger, "silent", 1e9)
                nursery.start_soon(stranger, "a byte a second", 1.0)
        assert all(4.9 < seconds < 7 for seconds in took.values()), took
        await until(lambda: hub.dropped(Reason.HANDSHAKE_TIMEOUT) == 2)
        assert hub.hub.admission.pending == 0
        assert hub.linked(friend)


@asynccontextmanager
async def half_open(address: tuple[str, int], count: int, source: str) -> AsyncIterator[None]:
    """That many connections that say nothing, held until the block ends."""
    async with AsyncExitStack() as stack:
        for number in range(count):
            await stack.enter_async_context(await connect(address, source=source))
            if number % 100 == 99:
                await trio.sleep(0)
        yield


async def test_a_thousand_half_open_connections_leave_the_hub_to_the_honest(
    tmp_path: Path, many_files: None, second_loopback: None
) -> None:
    name = mesh_name()
    mesh = open_mesh(name)
    async with running(tmp_path, "hub", "--mesh", name, *LOCAL) as hub:
        async with hostile(hub.address, mesh):  # so that what a first link loads is loaded
            await hub.until(lambda status: len(status["links"]) == 1)
        await hub.until(lambda status: not status["links"])
        before, idle_files = resident_kb(hub.pid), len(list(Path(f"/proc/{hub.pid}/fd").iterdir()))
        async with half_open(hub.address, HALF_OPEN, "127.0.0.2"):
            begin = trio.current_time()
            async with hostile(hub.address, mesh) as honest:
                await hub.until(lambda status: any(link["state"] == "open" for link in status["links"]))
                took = trio.current_time() - begin
                status = await hub.status()
                files = len(list(Path(f"/proc/{hub.pid}/fd").iterdir()))
                grown = resident_kb(hub.pid) - before
                assert not honest.ended.is_set()
        print(f"honest handshake during the flood: {took:.3f} s; {files} files open; {grown} kB more than before")
        assert took < 2
        assert status["counters"]["handshakes_pending"] <= PENDING_MAX
        assert status["counters"]["dropped"]["handshake_limit"] >= HALF_OPEN - BURST - 20 * 20
        assert files < 64 + PENDING_MAX
        assert grown < 4_096  # kB; 1,000 x 16 KiB would be 16,000
        await hub.until(lambda status: status["counters"]["handshakes_pending"] == 0, 8)
        with trio.fail_after(2):  # the answer to the last question may be closing yet
            while len(list(Path(f"/proc/{hub.pid}/fd").iterdir())) > idle_files:
                await trio.sleep(0.02)


async def test_a_hub_that_may_open_few_files_outlives_a_flood(tmp_path: Path, prlimit: None) -> None:
    name = mesh_name()
    few = ("prlimit", "--nofile=31:31")
    async with running(tmp_path, "hub", "--mesh", name, *LOCAL, prefix=few) as hub:
        async with half_open(hub.address, 60, "127.0.0.1"):
            for _ in range(5):  # the owner is refused now and then, but never fatal
                with trio.move_on_after(0.3), contextlib.suppress(OSError, trio.BrokenResourceError, AssertionError):
                    await hub.status()
            assert hub.process.returncode is None
        async with hostile(hub.address, open_mesh(name)):
            await hub.until(lambda status: any(link["state"] == "open" for link in status["links"]), 8)


async def test_a_crowd_of_strangers_with_a_source_each_does_not_keep_the_honest_out(tmp_path: Path) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub", RunOptions(transport=ManySources()))
        async with half_open(hub.address, 300, "127.0.0.1"):
            await until(lambda: hub.hub.admission.pending == PENDING_MAX)
            begin = trio.current_time()
            async with hostile(hub.address, hub.hub.opened.mesh) as honest:
                await until(lambda: hub.links_with(honest.identity.author) == [True], 2)
                took = trio.current_time() - begin
            assert took < 2
            assert hub.hub.admission.pending <= PENDING_MAX
            assert hub.dropped(Reason.HANDSHAKE_LIMIT) >= 300 - PENDING_MAX


@pytest.mark.parametrize("name", ["zero", "one", "p - 1", "first of order 8"])
async def test_an_ephemeral_key_of_small_order_gets_no_byte(tmp_path: Path, name: str) -> None:
    key = x25519_small_order()[name]
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        async with await connect(hub.address) as stream:
            await stream.send_all(opening_with(hub.hub.opened.mesh, key))
            with trio.fail_after(3):
                assert await refused(stream) == b""
        assert hub.dropped(Reason.HANDSHAKE_LOW_ORDER) == 1


def claims(mesh: Mesh, encoded: bytes) -> LocalIdentity:
    """Somebody who presents a key state and signs with whatever comes to hand."""
    own = an_identity(mesh)
    return LocalIdentity(KeyState(own.author, own.key_state.key, 0, bytes(32), encoded, (own.key_state.key,)), own.sign)


def impostors(mesh: Mesh, victim: LocalIdentity) -> dict[str, tuple[LocalIdentity, Reason]]:
    """Holders of the mesh secret who cannot prove who they say they are."""
    weak = ed25519_small_order()["order 4"]
    elsewhere = an_identity(open_mesh("another crowd"))
    bad = Reason.HANDSHAKE_BAD_IDENTITY
    return {
        "with a signing key of small order": (claims(mesh, weak_key_state(mesh, weak)), bad),
        "with the key state of somebody else": (claims(mesh, an_identity(mesh).key_state.encoded), bad),
        "with a key state of another mesh": (LocalIdentity(elsewhere.key_state, elsewhere.sign), bad),
        "with a key state that is no key state": (claims(mesh, b"\xc0"), bad),
        "with our own identity": (victim, Reason.HANDSHAKE_TWIN),
    }


IMPOSTORS = sorted(impostors(open_mesh("any"), an_identity(open_mesh("any"))))


@pytest.mark.parametrize("name", IMPOSTORS)
async def test_an_impostor_who_calls_is_refused_before_any_application_byte(tmp_path: Path, name: str) -> None:
    async with crew_in(tmp_path) as crew:
        hub = await crew.start("hub")
        mesh = hub.hub.opened.mesh
        identity, reason = impostors(mesh, hub.hub.opened.identity)[name]
        stream = await connect(hub.address)
        async with stream:
            # The caller has the hub's proof before the hub has the caller's, so its own half succeeds.
            if reason is Reason.HANDSHAKE_TWIN:
                with pytest.raises(HandshakeError):
                    await shake(stream, mesh, identity)
                await stream.send_eof()
            else:
                await shake(stream, mesh, identity)
                with trio.fail_after(3):
                    assert await refused(stream) == b""
                assert hub.dropped(reason) == 1
        assert not hub.hub.statistics().links
        assert len(hub.hub.statistics().in_reach) == 1


@pytest.mark.parametrize("name", IMPOSTORS)
async def test_an_impostor_who_is_called_is_not_shown_who_calls(tmp_path: Path, name: str) -> None:
    async with crew_in(tmp_path) as crew, trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        heard = bytearray()
        hub = await crew.start("hub", peers__static=(f"127.0.0.1:{port}",))
        mesh = hub.hub.opened.mesh
        identity, reason = impostors(mesh, hub.hub.opened.identity)[name]

        async def answer(stream: trio.SocketStream) -> None:
            static = DhKey(entropy(32))
            noise = HandshakeState(
                "XXpsk0",
                initiator=False,
                prologue=PROLOGUE + mesh.mesh_id,
                static=static,
                ephemeral=DhKey(entropy(32)),
                psk=mesh.psk,
            )
            async with stream:
                opening = await stream.receive_some(4_096)
                heard.extend(opening)
                noise.read(opening[3:])
                await stream.send_all(frame(noise.write(lambda bound: proof_of(identity, bound + static.public))))
                heard.extend(await refused(stream))

        nursery.start_soon(trio.serve_listeners, answer, [listener])
        await until(lambda: hub.dropped(reason) >= 1)
        await until(lambda: len(heard) >= OPENING_BYTES)
        assert len(heard) % OPENING_BYTES == 0  # openings, which hold no name, and nothing after them
        assert not hub.hub.statistics().links
        nursery.cancel_scope.cancel()


def proof_of(identity: LocalIdentity, bound_and_static: bytes) -> bytes:
    """The responder's proof by the book, whoever it is that signs."""
    return encode((identity.key_state.encoded, identity.sign(PROOF_DOMAIN + RESPONDER_ROLE + bound_and_static)))
