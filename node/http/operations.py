"""Health, readiness, status and metrics."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, generate_latest
from starlette.responses import JSONResponse

from consensus.progress import Progress
from node.http.access import Operator, Reader, ServiceDep
from node.http.models import NodeStatus
from node.standing import Standing

router = APIRouter(tags=["operations"])
open_router = APIRouter(tags=["operations"])


@open_router.get("/healthz")
def healthy() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@open_router.get("/readyz", response_class=JSONResponse)
def ready(service: ServiceDep) -> JSONResponse:
    """Whether writes can be certified: this node takes part and there is a leader."""
    waits_for = _waits_for(service)
    status = 200 if waits_for is None else 503
    content = {
        "ready": waits_for is None,
        "standing": service.node.standing.value,
        "waits_for": waits_for,
    }
    return JSONResponse(content, status)


@router.get("/status")
def status(service: ServiceDep, _: Reader) -> NodeStatus:
    """How this node is doing, and what it waits for."""
    node = service.node
    raft = node.replica.raft
    connected = node.network.connected if node.network is not None else frozenset()
    return NodeStatus(
        department=node.department,
        node_id=node.identity.node_id.hex(),
        ledger_id=node.ledger_id.hex(),
        fingerprint=node.genesis.fingerprint,
        standing=node.standing.value,
        role=raft.role.value,
        term=raft.term,
        leader=None if raft.leader is None else raft.leader.hex(),
        height=node.events.height,
        certified_height=node.events.certified_height,
        commit_index=raft.commit_index,
        last_index=raft.last_index,
        peers=[
            {
                "node_id": peer.hex(),
                "connected": peer in connected,
                "match_index": _match_index(raft.progress(peer)),
            }
            for peer in node.replica.members
            if peer != node.identity.node_id
        ],
        datasets_with_source=list(service.sources.datasets),
        exchanges_in_flight=service.provider.in_flight + service.consumer.in_flight,
        messages_dropped=node.messages_dropped,
        alarms=node.alarms,
        waits_for=_waits_for(service),
    )


@router.get("/metrics", response_class=Response)
def metrics(service: ServiceDep, _: Operator) -> Response:
    """For Prometheus."""
    node = service.node
    raft = node.replica.raft
    registry = CollectorRegistry()
    values = {
        "height": (node.events.height, "last executed, durable block"),
        "certified_height": (node.events.certified_height, "last certified block"),
        "term": (raft.term, "Raft term"),
        "is_leader": (int(raft.leader == node.identity.node_id), "1 if this node leads"),
        "takes_part": (int(not node.standing.is_final), "0 once this node's key is spent"),
        "commit_index": (raft.commit_index, "Raft commit index"),
        "last_index": (raft.last_index, "end of the Raft log"),
        "uncommitted_bytes": (raft.uncommitted_bytes, "a leader's uncommitted proposals, bytes"),
        "peers_connected": (
            len(node.network.connected) if node.network is not None else 0,
            "peers this node can send to",
        ),
        "peer_queue_bytes": (
            node.network.queued_bytes if node.network is not None else 0,
            "bytes that wait for peers",
        ),
        "batches_written": (node.store.batch_number, "synced writes over the store's whole life"),
        "messages_dropped": (node.messages_dropped, "peer messages dropped since start"),
        "exchanges_in_flight": (
            service.provider.in_flight + service.consumer.in_flight,
            "exchanges under way",
        ),
        "exchanges_served": (service.provider.served, "exchanges served since start"),
        "exchanges_denied": (service.provider.denied, "exchanges denied since start"),
        "alarms": (len(node.alarms), "alarms since start, at most 100"),
    }
    for name, (value, meaning) in values.items():
        Gauge(f"concordat_{name}", meaning, registry=registry).set(value)
    return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)


def _match_index(progress: Progress | None) -> int | None:
    """What a leader knows a peer to hold durably."""
    return None if progress is None else progress.match


def _waits_for(service: ServiceDep) -> str | None:
    """What this node lacks to have a record certified, for a person; None if nothing."""
    node = service.node
    if node.out_of_service is not None:
        return node.out_of_service + "; enrol a new one with `concordat-node renew`"
    if node.identity.node_id not in node.replica.members:
        return "this node has to be admitted by the consortium, and to hear of it"
    if node.replica.raft.leader is not None:
        return None
    connected = len(node.network.connected) if node.network is not None else 0
    needed = len(node.tip().voters.voters) // 2
    if node.standing is Standing.ASKING and connected == 0 < needed:
        return (
            f"{needed} peers have to be reached to elect a leader, none of those that this node's "
            "ledger names can be; if all have been replaced, add a present member to [peers]"
        )
    if connected < needed:
        return f"{needed} peers have to be reached to elect a leader, {connected} are"
    if node.standing is Standing.ASKING:
        return "voters have to answer what this node has promised"
    return "an election is under way"
