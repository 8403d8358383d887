"""The exchange gateway: data moves between two departments, and only under a certified receipt.

    app ─ POST /v1/exchanges ─> consumer's node                        provider's node
                                  signed request ───── RPC ─────────>  grant, purpose, fields
                                                                       source: granted columns only
                                                                       receipt into the next batch
                                        … certified on the ledger …
                                  <──── release: blinding, content ──  within the release window
        <─ data ─  receipt found in the own ledger, certified, and it opens the content
                   acknowledgement into the next batch

Promise P1: the provider releases nothing before its receipt is certified, and the consumer hands
nothing over before it has checked that receipt in its own copy of the ledger. Promise P2: a
provider whose node has executed, or is just submitting, a revocation sends not one more chunk.

Modules: `provider` and `consumer` are the two sides · `release` what may leave now ·
`batching` many items, one signed record · `vault` blindings and salts, encrypted · `bulk` exchanges
that took place elsewhere · `answers` what travels · `sources` the department's data.
"""
