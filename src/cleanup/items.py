"""The items of objects in the table of processed data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from shared.object_catalog import Catalog, CatalogEntry
from shared.objects import ObjectId

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import TransactWriteItemTypeDef

# An item without a sequencer is a producer's, who chose the same execution_id.
IS_EARLIER = "attribute_not_exists(execution_id) OR sequencer < :sequencer"

CONDITION_FAILED = "ConditionalCheckFailed"


@dataclass(frozen=True)
class Items:
    """The table of processed data; ``environment`` is the prefix of its objects' keys."""

    client: DynamoDBClient
    table_name: str
    environment: str

    def sequencer(self, object_id: ObjectId) -> str | None:
        """The sequencer of the state that the object's item is of, if it has one."""
        response = self.client.get_item(
            TableName=self.table_name,
            Key={"execution_id": {"S": object_id.execution_id(self.environment)}},
            ProjectionExpression="sequencer",
            ConsistentRead=True,
        )
        return response.get("Item", {}).get("sequencer", {}).get("S")

    def bury(self, catalog: Catalog, tombstone: CatalogEntry) -> bool:
        """Enter ``tombstone`` and delete the earlier item, both or neither.

        False if the catalog knows of a later state: then nothing is changed, and the events of
        that state take care of what there is. An item that is not earlier stays, of a later state
        of which the catalog has not heard, or a producer's; the tombstone is entered all the same.
        Repeating it changes nothing.

        Raises:
            ClientError: the transaction was cancelled for another reason; it may be repeated.
        """
        entry, deletion = catalog.tombstone(tombstone), self._deletion(tombstone)
        match self._failed_conditions(entry, deletion):
            case [False, True]:
                return self._failed_conditions(entry) == [False]
            case [catalog_is_later, _]:
                return not catalog_is_later
        raise AssertionError("DynamoDB answers for each part of a transaction")

    def _failed_conditions(self, *parts: TransactWriteItemTypeDef) -> list[bool]:
        """Of each part, whether its condition was false; if none was, all were carried out."""
        try:
            self.client.transact_write_items(TransactItems=parts)
        except ClientError as error:
            reasons = error.response.get("CancellationReasons", [])
            failed = [reason.get("Code") == CONDITION_FAILED for reason in reasons]
            if any(failed):
                return failed
            raise
        return [False] * len(parts)

    def _deletion(self, tombstone: CatalogEntry) -> TransactWriteItemTypeDef:
        object_id = ObjectId(tombstone["bucket"], tombstone["key"])
        return {
            "Delete": {
                "TableName": self.table_name,
                "Key": {"execution_id": {"S": object_id.execution_id(self.environment)}},
                "ConditionExpression": IS_EARLIER,
                "ExpressionAttributeValues": {":sequencer": {"S": tombstone["sequencer"]}},
            }
        }
