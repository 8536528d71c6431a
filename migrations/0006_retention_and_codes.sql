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

-- Certificates that are known carry a code under the sealing key, as pins do. NULL: stored by nobody who has that key;
-- 'former': stored by a renewd before this schema.
ALTER TABLE known_certificate ADD COLUMN code TEXT;
UPDATE known_certificate SET code = 'former';
-- When it was reported that the code does not verify.
ALTER TABLE known_certificate ADD COLUMN reported_at BIGINT;
-- A renewal that an older renewd left between the bind and the proof has no code for the pin that it needs.
UPDATE renewal SET pin_code = 'former'
    WHERE ended_at IS NULL AND pin_code IS NULL AND fingerprint IS NOT NULL
    AND (state IN ('bound', 'unproven', 'verified') OR (state = 'imported'
        AND EXISTS (SELECT 1 FROM intent i WHERE i.renewal = renewal.id AND i.step = 'bind' AND i.closed_at IS NULL)));

-- The CA certificates that renewd installed on a firewall: each is reported once.
CREATE TABLE installed_ca_certificate (
    firewall TEXT NOT NULL REFERENCES firewall (name),
    fingerprint TEXT NOT NULL,
    installed_at BIGINT NOT NULL,
    PRIMARY KEY (firewall, fingerprint)
);
-- How often an order whose answer was lost was looked for since the last try, and not found. A clock can jump over a wait,
-- but not over a look.
ALTER TABLE intent ADD COLUMN misses BIGINT NOT NULL DEFAULT 0;
-- SHA-256 of what the management page serves and no pin accepts, where no certificate has that address in `verify`.
ALTER TABLE firewall ADD COLUMN management_untrusted TEXT;
-- What was requested counts until the firewall confirms it, also where nothing was fetched from the CA yet.
DROP INDEX renewal_unconfirmed;
CREATE INDEX renewal_unconfirmed ON renewal (firewall) WHERE confirmed_at IS NULL AND csr_pem IS NOT NULL;
-- 1 when it was planned under a clock that was ahead, as turned out since: its order may be older than planned_at says.
ALTER TABLE renewal ADD COLUMN planned_ahead BIGINT NOT NULL DEFAULT 0;
-- On what an order was placed, as JSON: whether it was taken is judged by this, and not by what is served or configured since.
ALTER TABLE intent ADD COLUMN basis TEXT;
-- The CA's reference of the order that came of it, where the CA ended that order and it may have cost money.
ALTER TABLE intent ADD COLUMN ended_order TEXT;
