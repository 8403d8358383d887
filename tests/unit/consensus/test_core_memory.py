"""`consensus.memory`: what any store has to do with a write, and proposals without signatures."""

from hashlib import sha256

from raft_cluster import A, B, appended, made

from consensus import Entry, EntryPoint, HardState, Unwritten, Verdict
from consensus import messages as m
from consensus.memory import MemoryStorage, UnsignedProposals
from consensus.types import NO_HASH


def test_a_new_store_is_empty() -> None:
    storage = MemoryStorage()
    assert storage.hard_state() == HardState(0, None, 0)
    assert storage.compacted() == EntryPoint(0, 0, NO_HASH)
    assert storage.last_index() == 0 and storage.entry(1) is None


def test_a_write_adds_replaces_and_cuts_at_both_ends() -> None:
    storage = MemoryStorage()
    log = made(1, 1, 2, 2)
    storage.write(Unwritten(HardState(2, A, 1), None, tuple(log), 4))
    assert [storage.entry(index) for index in range(6)] == [None, *log, None]
    assert storage.hard_state() == HardState(2, A, 1) and storage.last_index() == 4
    other = made(1, 1, 3, data="other")
    storage.write(Unwritten(None, None, (other[2],), 3))
    assert storage.entry(3) == other[2] and storage.entry(4) is None
    assert storage.hard_state() == HardState(2, A, 1)
    start = EntryPoint(2, 1, log[1].hash)
    storage.write(Unwritten(None, start, (), 3))
    assert storage.compacted() == start and storage.last_index() == 3
    assert [storage.entry(index) for index in range(1, 4)] == [None, None, other[2]]
    storage.write(Unwritten(None, None, (), 3))
    assert storage.compacted() == start


def test_proposals_without_signatures_accept_everything_and_chain_their_hashes() -> None:
    proposals = UnsignedProposals()
    assert proposals.sign(term=1, index=2, previous_hash=NO_HASH, data=b"x") == b""
    assert proposals.sign_transfer(term=1, target=B) == b""
    entry = Entry(258, 772, b"data", A, b"")
    before = bytes(range(32))
    text = before + bytes([0] * 6 + [1, 2]) + bytes([0] * 6 + [3, 4]) + b"data"
    assert proposals.entry_hash(entry, before) == sha256(text).digest()
    assert proposals.check(entry, before) is Verdict.ACCEPT
    assert proposals.check_transfer(leader=A, term=1, target=B, signature=b"any") is True
    assert proposals.now_ms() == 0 and proposals.is_early(2**62) is False
    assert proposals.is_late(-(2**62)) is False


def test_each_kind_of_message_goes_to_a_peer_of_a_version_that_knows_it() -> None:
    first = (
        m.PreVoteRequest(1, 2, 1, 3),
        m.PreVoteReply(1, True),
        m.VoteRequest(1, 2, 1, 3),
        m.VoteReply(1, True),
        appended(made(1), term=1, previous=0),
        m.AppendReply(1, 2, NO_HASH),
        m.AppendRefused(1, 2, 1, 1, False),
        m.Heartbeat(1, 2, 3),
        m.HeartbeatReply(1, 3),
        m.ReadRequest(1, 2),
        m.ReadReply(1, 2, 3),
    )
    second = (m.TimeoutNow(1, b""), m.SnapshotOffer(1, 2, 1, NO_HASH))
    told = m.TransferVoteRequest(4, 3, 2, 1, b"s")
    for message in (*first, *second, told):
        assert m.for_version(message, 2) is message
        assert m.since(type(message)) == (1 if message in first else 2)
    for message in first:
        assert m.for_version(message, 1) is message
    for message in second:
        assert m.for_version(message, 1) is None
    assert m.for_version(told, 1) == m.VoteRequest(4, 3, 2, 1)
    assert type(m.for_version(told, 1)) is m.VoteRequest
    assert m.PROTOCOL_VERSIONS == (1, 2) and m.PROTOCOL_VERSION == 2
