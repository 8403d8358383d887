"""Every reason for which a record is refused, in one place.

A refusal is a value: every node refuses the same record for the same reason, and a refused record
never becomes part of the ledger. Codes are stable; the words beside them are for people.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Explanation:
    """What a code means, and what whoever meets it can do."""

    meaning: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a record is refused. detail: the particular case, for a person."""

    code: str
    detail: str

    def __post_init__(self) -> None:
        assert self.code in REFUSALS, f"{self.code} is not in the table of refusals"


_RESEND = "Build the record again and sign it again."

REFUSALS: dict[str, Explanation] = {
    "malformed-record": Explanation(
        "The bytes are not a record in its one accepted spelling.", _RESEND
    ),
    "wrong-ledger": Explanation(
        "The record names another ledger.", "Check which genesis file the signer uses."
    ),
    "unknown-department": Explanation(
        "No such department is a member.", "Check the department's short name."
    ),
    "department-suspended": Explanation(
        "The department is suspended; it may only end and settle what it began.",
        "Ask the other departments to resume it: `concordat consortium status`.",
    ),
    "department-retired": Explanation(
        "The department left the consortium for good.",
        "Nothing: whoever joins later does so under another name.",
    ),
    "unknown-key": Explanation(
        "The key is not one that the ledger gives this department for records.",
        "Sign with an enrolled record key.",
    ),
    "not-yet-valid": Explanation(
        "The record was created in the future, by the ledger's time.",
        "Set the signer's clock; then sign again.",
    ),
    "expired": Explanation(
        "The record's window is over.",
        "Build the record again and sign it again; if that is late too, set the signer's clock.",
    ),
    "window-too-long": Explanation(
        "The record would be valid for longer than the consortium allows, or for no time at all.",
        "Choose valid_until within the setting record-window-ms.",
    ),
    "replayed": Explanation(
        "A record with this key and nonce is in the ledger.",
        "Nothing: the first one counts. For another record, draw another nonce.",
    ),
    "bad-signature": Explanation("The signature is not the key's over this header.", _RESEND),
    "attachment-mismatch": Explanation(
        "What is attached is missing, unexpected or not what the header announces.", _RESEND
    ),
    "unknown-kind": Explanation(
        "No contract in force knows this kind of record.", "See docs/FORMATS.md for the kinds."
    ),
    "malformed-body": Explanation(
        "The body is not this kind's format in its one accepted spelling.", _RESEND
    ),
    "quota-exceeded": Explanation(
        "The department has more records in this block than its quota.", "Try again a moment later."
    ),
    "internal-error": Explanation(
        "A contract failed on this record.", "Report the record to the makers of Concordat."
    ),
    "department-exists": Explanation(
        "A department of this name is or was a member.", "Choose another short name."
    ),
    "last-department": Explanation(
        "It is the only department in force.", "Resume or admit another one first."
    ),
    "invalid-enrolment": Explanation(
        "The enrolment is not one for this, signed by every key in it.",
        "Make it again with `concordat-node init`; compare its fingerprint by telephone.",
    ),
    "key-in-use": Explanation(
        "A key is or was enrolled already, for whatever purpose.", "Make a new key."
    ),
    "last-key": Explanation(
        "It is the department's only record key in force.", "Add another record key first."
    ),
    "unknown-node": Explanation(
        "No such node is in force.", "See the nodes: `concordat consortium status`."
    ),
    "not-a-voter": Explanation(
        "The node is none of the voters that were decided.",
        "See the voters: `concordat consortium status`.",
    ),
    "invalid-voters": Explanation(
        "The voters would be fewer or more than allowed, or are not sorted.",
        "Name other nodes, or change voters-min or voters-max first.",
    ),
    "voter-change-open": Explanation(
        "A change of the voters is under way.", "Try again when it is over, in a moment."
    ),
    "invalid-setting": Explanation(
        "There is no such setting, or it cannot have this value.",
        "See docs/FORMATS.md for the settings and their bounds.",
    ),
    "limit-reached": Explanation(
        "There are as many of them as a consortium or department may have.",
        "Retire or revoke one first.",
    ),
    "nothing-to-change": Explanation("It is so already.", "Nothing: it is as you want it."),
    "unknown-proposal": Explanation(
        "There is no such proposal.", "Check the proposal's id: `concordat consortium status`."
    ),
    "proposal-closed": Explanation(
        "The proposal takes no ballots any more.",
        "See what became of it; if it is still wanted, propose it again.",
    ),
    "already-voted": Explanation(
        "The department has cast this very ballot.", "Nothing: it counts."
    ),
    "not-the-proposer": Explanation(
        "Only the department that proposed it may take it back.", "Vote against it instead."
    ),
    "too-many-proposals": Explanation(
        "The department has as many open proposals as it may have.",
        "Withdraw one, or wait until one is decided.",
    ),
    "dataset-exists": Explanation(
        "The department already published a dataset of this name.",
        "Change the dataset, or choose another name.",
    ),
    "invalid-document": Explanation(
        "The document contradicts itself, or is not of the kind that it is to be.",
        "Correct what the detail names.",
    ),
    "unknown-document": Explanation(
        "The department put forward no such document, or another one since.",
        "Publish it again, or propose the newer one.",
    ),
    "unknown-dataset": Explanation(
        "There is no such dataset.", "List the catalogue: `concordat dataset list`."
    ),
    "dataset-withdrawn": Explanation(
        "The publisher withdrew the dataset.", "Ask the publisher what replaces it."
    ),
    "invalid-dataset": Explanation(
        "The description contradicts itself or the rules of the catalogue.",
        "Correct the description named in the detail.",
    ),
    "incompatible-change": Explanation(
        "The change would remove a field or alter its type, which grants rely on.",
        "Withdraw the dataset and publish another one.",
    ),
    "not-onward": Explanation(
        "The grant under which the data was received does not allow sharing it onward.",
        "Ask its provider for a version of the grant that does.",
    ),
    "not-shared": Explanation(
        "The dataset's sharing class allows no grants.", "Ask the publisher to change the class."
    ),
    "own-dataset": Explanation(
        "A department needs no grant for its own data.", "Read it directly."
    ),
    "own-approval": Explanation(
        "A department that approves grants on a dataset cannot be granted it.",
        "Ask the publisher to name another co-approver.",
    ),
    "unknown-purpose": Explanation(
        "The purpose is no term of the vocabulary in force.",
        "Choose a term: GET /v1/vocabulary lists them.",
    ),
    "unknown-legal-basis": Explanation(
        "The legal basis is no term of the vocabulary in force.",
        "Choose a term: GET /v1/vocabulary lists them.",
    ),
    "invalid-limits": Explanation(
        "The limits contradict themselves, or the dataset has nothing to which they apply.",
        "Correct the limit named in the detail.",
    ),
    "unknown-field": Explanation(
        "A field is not in the dataset, or is named twice.",
        "See the dataset's fields: `concordat dataset show`.",
    ),
    "invalid-validity": Explanation(
        "The validity ends before it starts, is over, or is longer than allowed.",
        "Choose another validity.",
    ),
    "unknown-grant": Explanation(
        "There is no such grant.", "Check the grant's id: `concordat grant list`."
    ),
    "not-the-provider": Explanation(
        "Only the dataset's publisher may do this, or a department that it names as co-approver.",
        "Ask the provider.",
    ),
    "not-the-consumer": Explanation("Only the grant's consumer may do this.", "Ask the consumer."),
    "already-decided": Explanation(
        "The grant is no longer in the state that this needs.",
        "See where it stands: `concordat grant show`.",
    ),
    "other-version": Explanation(
        "Another version of the grant is in force, or waits for a decision, than the one named.",
        "See its versions: `concordat grant show`.",
    ),
    "already-pending": Explanation(
        "A version of the grant waits for its decision.",
        "Wait for the decision, or retract that version first.",
    ),
    "other-dataset": Explanation(
        "A grant keeps its dataset; the new version names another.",
        "Request another grant for the other dataset.",
    ),
    "other-policy": Explanation(
        "The decision cites another policy than the one in force, or there is none.",
        "Nothing: the request waits for a steward, or for the policy in force.",
    ),
    "not-the-suspender": Explanation(
        "Another department suspended the grant.", "Ask the department that did."
    ),
    "no-emergency": Explanation(
        "The grant is not an emergency's.", "Use the records of ordinary grants."
    ),
    "emergency-too-wide": Explanation(
        "An emergency grant is narrower and shorter than this.",
        "Narrow what the detail names, or request an ordinary grant.",
    ),
    "emergency-lapsed": Explanation(
        "Nobody confirmed the emergency in time.", "Declare it again, if it still is one."
    ),
    "review-missing": Explanation(
        "An emergency was not reviewed in time.",
        "Ask its provider or a co-approver to record the review.",
    ),
    "grant-not-active": Explanation(
        "The grant is not approved.", "Wait for the provider's decision."
    ),
    "grant-suspended": Explanation(
        "The grant is suspended.", "Ask the department that suspended it."
    ),
    "grant-revoked": Explanation("The grant was revoked.", "Request another grant."),
    "grant-withdrawn": Explanation("The consumer withdrew the grant.", "Request another grant."),
    "grant-not-started": Explanation(
        "The grant's validity has not begun.", "Try again when it has."
    ),
    "grant-expired": Explanation(
        "The grant's validity is over.", "Ask for a renewal of the grant."
    ),
    "outside-hours": Explanation(
        "The grant lets nothing through at this time of the day.",
        "Try again within the hours of the grant.",
    ),
    "origin-ended": Explanation(
        "The data was derived under a grant that no longer stands.",
        "Ask the publisher to renew the grant from which the dataset is derived.",
    ),
    "legal-basis-mismatch": Explanation(
        "The exchange rests on another legal basis than its grant.",
        "State the grant's legal basis.",
    ),
    "purpose-mismatch": Explanation(
        "The exchange states another purpose than its grant.",
        "State the grant's purpose, or request a grant for the other one.",
    ),
    "exchanges-exhausted": Explanation(
        "The grant's limit of exchanges is reached.", "Ask for a renewal of the grant."
    ),
    "rows-exhausted": Explanation(
        "The grant's limit of rows would be exceeded.",
        "Narrow the query, or ask for a version with a higher limit.",
    ),
    "bytes-exhausted": Explanation(
        "The grant's limit of bytes would be exceeded.",
        "Narrow the query, or ask for a version with a higher limit.",
    ),
    "rate-exceeded": Explanation(
        "The grant's rate of exchanges is reached.", "Try again in the next window."
    ),
    "invalid-lines": Explanation(
        "The lines name a grant twice, or do not add up to what is attached.", _RESEND
    ),
    "seal-required": Explanation(
        "The dataset is sensitive or closed: its exchanges are sealed.",
        "Exchange it between nodes, or publish it as carried elsewhere; see `docs/HTTP.md`.",
    ),
    "carried-elsewhere": Explanation(
        "The dataset's publisher hands it over by an exchange of its own, not between nodes.",
        "Ask there; its receipts come to the ledger in bulk, not sealed.",
    ),
    "not-acknowledged": Explanation(
        "More keys are handed over than sealed contents were acknowledged.",
        "Wait for the consumer's acknowledgement to be certified.",
    ),
    "more-than-received": Explanation(
        "More is acknowledged or voided than receipts say was exchanged.",
        "Compare with the receipts of the grant: GET /v1/grants/{grant_id}/receipts.",
    ),
    "not-granted-field": Explanation(
        "The exchange asks for a field that its grant does not name.",
        "Ask for granted fields only.",
    ),
    "subjects-not-named": Explanation(
        "The grant wants every query to name its data subjects.",
        "Name them: a condition = or in on the field that identifies the subject.",
    ),
    "subjects-exhausted": Explanation(
        "The grant's limit of distinct data subjects would be exceeded.",
        "Ask for a version of the grant with a higher limit.",
    ),
}
"""All codes. The last three are a provider's, for denials; the others are the contracts'."""
