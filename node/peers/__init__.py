"""How nodes talk: TLS 1.3 with pinned keys, and frames with a limit.

    frame = length of the rest (4 bytes, big-endian) ‖ type (1 byte) ‖ payload

    dialler                                   listener
      hello [version, ledger, node, purpose] ─>
                                            <─ hello, or goodbye with a reason
      purpose "messages":  message, ping ───>  (one direction; the listener dials back for its own)
      purpose "bulk":      message ─────────>  (the large ones)
      purpose "rpc":       request ─────────>
                           <──── chunk … chunk, end | error
                           cancel ──────────>

Each side knows the other by the key in its certificate, which must be one that the ledger names;
there is no certificate authority. Small messages, large messages and RPC use connections of their
own, so neither an entry of megabytes nor an answer holds up a heartbeat on a narrow line; messages
of one peer may overtake each other. Queues are limited; what does not fit is dropped, because every
message of the replica may be lost, while an RPC is refused.

| question                                        | module    |
|-------------------------------------------------|-----------|
| who may connect, and how is it known?           | `tls`     |
| what goes over the wire?                        | `frames`  |
| what waits for a peer, and how much may?        | `lines`   |
| who dials, who listens, when does a line end?   | `network` |
| how are requests and long answers interleaved?  | `rpc`     |
"""

from node.peers.lines import Peer, PeerLimits
from node.peers.network import PeerNetwork
from node.peers.rpc import PeerUnavailable, RpcError

__all__ = ["Peer", "PeerLimits", "PeerNetwork", "PeerUnavailable", "RpcError"]
