-- What each address served, what is trusted and how that is authenticated, and what counts polls and failures.

-- The time step of the last one-time code that was used to log in, by its beginning: no code is used twice.
ALTER TABLE firewall ADD COLUMN code_step BIGINT;

-- When the firewall itself confirmed that it has the issued certificate with its key; NULL: it has not. Until then no CA
-- vouches for that certificate.
ALTER TABLE renewal ADD COLUMN confirmed_at BIGINT;
UPDATE renewal SET confirmed_at = state_since
    WHERE state IN ('imported', 'bound', 'verified', 'unproven', 'completed', 'rolled_back') OR previous_bindings IS NOT NULL;
CREATE INDEX renewal_unconfirmed ON renewal (firewall) WHERE confirmed_at IS NULL AND fingerprint IS NOT NULL;
CREATE INDEX renewal_of_certificate ON renewal (fingerprint) WHERE fingerprint IS NOT NULL;

-- Pins decide where passwords go, so each carries a code under the sealing key. NULL: stored by a renewd before this schema;
-- 'former': the same, in a database that was brought up to date.
ALTER TABLE firewall ADD COLUMN learned_code TEXT;
UPDATE firewall SET learned_code = 'former' WHERE learned <> '';
-- The rows that did not verify and were reported.
ALTER TABLE firewall ADD COLUMN distrusted TEXT;
-- The certificate of a renewal counts as a pin from the intent to bind it on.
ALTER TABLE renewal ADD COLUMN pin_for TEXT;
ALTER TABLE renewal ADD COLUMN pin_code TEXT;
