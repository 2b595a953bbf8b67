"""The published per-record pattern, to measure against: three chained invokes for each record."""
