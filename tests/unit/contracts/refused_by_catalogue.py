"""Cases that a contract refuses: of the catalogue."""

from acts import with_dataset_withdrawn
from harness import (
    CONSUMER,
    PROVIDER,
    STRANGER,
    Sent,
    Stage,
    description,
    offer,
    wanted,
)
from refused_by_machine import refused, withdrawal


@refused("dataset-exists")
def a_second_publication_under_one_name(stage: Stage) -> Sent:
    return stage.publish()


@refused("dataset-exists")
def a_publication_under_a_withdrawn_name(stage: Stage) -> Sent:
    return with_dataset_withdrawn(stage).publish()


@refused("unknown-dataset")
def a_change_of_what_nobody_published(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.change", offer("pupils"), document=description())


@refused("unknown-dataset")
def a_change_of_another_departments_dataset(stage: Stage) -> Sent:
    return stage.sign(STRANGER, "dataset.change", offer(), document=description())


@refused("unknown-dataset")
def a_withdrawal_of_another_departments_dataset(stage: Stage) -> Sent:
    return withdrawal(stage, department=STRANGER)


@refused("unknown-dataset")
def a_request_for_a_dataset_nobody_published(stage: Stage) -> Sent:
    return stage.sign(CONSUMER, "grant.request", wanted(dataset="pupils"))


@refused("dataset-withdrawn")
def a_change_of_a_withdrawn_dataset(stage: Stage) -> Sent:
    with_dataset_withdrawn(stage)
    return stage.sign(PROVIDER, "dataset.change", offer(), document=description())


@refused("dataset-withdrawn")
def a_second_withdrawal(stage: Stage) -> Sent:
    return withdrawal(with_dataset_withdrawn(stage))


@refused("dataset-withdrawn")
def a_request_for_a_withdrawn_dataset(stage: Stage) -> Sent:
    return with_dataset_withdrawn(stage).sign(CONSUMER, "grant.request", wanted())


@refused("dataset-withdrawn")
def a_receipt_of_a_withdrawn_dataset(stage: Stage) -> Sent:
    return with_dataset_withdrawn(stage).receipts()


@refused("invalid-dataset")
def a_document_that_is_no_description(stage: Stage) -> Sent:
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), document=b"words")


@refused("invalid-dataset")
def a_description_with_one_field_twice(stage: Stage) -> Sent:
    document = description(("person", "person"))
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), document=document)


@refused("invalid-dataset")
def a_description_whose_subject_is_no_field(stage: Stage) -> Sent:
    document = description(("district",))
    return stage.sign(PROVIDER, "dataset.publish", offer("pupils"), document=document)


@refused("invalid-dataset")
def a_change_to_a_description_of_no_fields(stage: Stage) -> Sent:
    document = description((), subject=None)
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


@refused("incompatible-change")
def a_change_that_takes_a_field_away(stage: Stage) -> Sent:
    document = description(("district", "person"))
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


@refused("incompatible-change")
def a_change_of_who_carries_a_dataset(stage: Stage) -> Sent:
    change = offer(carried="elsewhere")
    return stage.sign(PROVIDER, "dataset.change", change, document=description())


@refused("incompatible-change")
def a_change_of_a_fields_type(stage: Stage) -> Sent:
    document = description(insured="boolean")
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)


@refused("incompatible-change")
def a_change_of_the_field_that_names_the_subject(stage: Stage) -> Sent:
    document = description(subject="insured")
    return stage.sign(PROVIDER, "dataset.change", offer(), document=document)
