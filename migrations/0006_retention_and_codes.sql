-- What is older than `keep_history` is removed, and what else decides about trust is authenticated.

-- The last event that was removed, so that the chain of the history is verified from there on. One row: the newest. Its
-- code is made under the sealing key over the other columns.
CREATE TABLE history_checkpoint (
    event BIGINT NOT NULL PRIMARY KEY,
    hash TEXT NOT NULL,
    -- How many events were removed since the first one.
    removed BIGINT NOT NULL,
    removed_at BIGINT NOT NULL,
    code TEXT NOT NULL
);
CREATE INDEX renewal_ended ON renewal (ended_at, id) WHERE ended_at IS NOT NULL;
