"""The node's HTTP interface under `/v1`: for the department's own people and apps.

Errors are RFC 9457 problems (`problems`). Every answer says in its headers which height and which
certified checkpoint it is from. Lists are read page by page with a cursor. A request that writes
takes an `Idempotency-Key`, waits until its record is certified (`wait=committed` for the leader's
word only), and says with `dry_run=true` whether it would be accepted.

Modules: `app` puts it together · `access` tokens and roles · `problems` · `writing` how a record is
submitted · `models`, `consortium_models` what is sent and answered · `consortium`, `catalog`,
`grants`, `policies`, `emergencies`, `exchanges`, `bulk`, `records`, `streams`, `operations` the
routes.
"""
