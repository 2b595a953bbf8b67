-- Run it once, as the owner of the database; then give the role to whom the sink's secret names:
--   CREATE ROLE sink LOGIN PASSWORD '...' IN ROLE processed_data_sink;

CREATE TABLE processed_records (
    execution_id text COLLATE "C" PRIMARY KEY,
    stream_label text COLLATE "C" NOT NULL,  -- the place in the table's stream that this is from
    sequence     numeric(40)      NOT NULL,
    item         jsonb,                      -- none: it was removed
    removed_at   timestamptz,
    CHECK ((item IS NULL) = (removed_at IS NOT NULL))
);

CREATE INDEX ON processed_records (removed_at) WHERE removed_at IS NOT NULL;

-- What there is, one row for each item.
CREATE VIEW processed_data AS
SELECT execution_id,
       item ->> 'message_id'                 AS message_id,
       item ->> 'data_source'                AS data_source,
       item ->> 'processing_type'            AS processing_type,
       (item ->> 'stored_at')::timestamptz   AS stored_at,
       item -> 'transformed_data'            AS transformed_data,
       item
FROM processed_records
WHERE removed_at IS NULL;

CREATE ROLE processed_data_sink;
GRANT SELECT, INSERT, UPDATE ON processed_records TO processed_data_sink;
