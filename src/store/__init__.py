"""The store stage: writes one DynamoDB item per record."""
