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

-- What each address of a certificate serves. The first group is the last certificate there that renewd knows: it decides
-- when a renewal is due. The second is what the address presents instead, and renewd does not know.
CREATE TABLE served (
    certificate TEXT NOT NULL REFERENCES certificate (name),
    -- HOST:PORT; empty for a row of an earlier renewd, which kept one certificate for all addresses.
    address TEXT NOT NULL,
    fingerprint TEXT,
    pem TEXT,
    not_before BIGINT,
    not_after BIGINT,
    seen_at BIGINT,
    -- 1 while its names and key are those of the configuration.
    is_wanted BIGINT NOT NULL DEFAULT 1 CHECK (is_wanted IN (0, 1)),
    unknown_fingerprint TEXT,
    unknown_since BIGINT,
    unknown_words TEXT,
    unreachable_since BIGINT,
    unreachable_words TEXT,
    unreachable_reported_at BIGINT,
    -- The last condition of what is presented that was reported, and when.
    reported TEXT,
    reported_at BIGINT,
    -- The start of the newest probe that is stored here; an older probe never replaces it.
    probed_at BIGINT NOT NULL,
    -- When a verification stored what is served here; no probe that had begun by then replaces it.
    verified_at BIGINT,
    PRIMARY KEY (certificate, address)
);
INSERT INTO served (certificate, address, fingerprint, pem, not_before, not_after, seen_at, probed_at)
SELECT name, '', shown_fingerprint, shown_pem, shown_not_before, shown_not_after, shown_seen_at, shown_seen_at
FROM certificate WHERE shown_fingerprint IS NOT NULL;
-- Certificates that renewd knows although it did not bind them: verified by a chain, or accepted by an operator.
CREATE TABLE known_certificate (
    certificate TEXT NOT NULL REFERENCES certificate (name),
    fingerprint TEXT NOT NULL,
    -- 'chain' or 'operator'.
    basis TEXT NOT NULL,
    known_at BIGINT NOT NULL,
    PRIMARY KEY (certificate, fingerprint)
);
-- What each address served just before the bind, as JSON; why its verification failed; when the previous certificate was
-- bound again. And why the last renewal of a certificate failed, until one succeeds.
ALTER TABLE renewal ADD COLUMN previous_served TEXT;
ALTER TABLE renewal ADD COLUMN not_proven TEXT;
ALTER TABLE renewal ADD COLUMN bound_back_at BIGINT;
ALTER TABLE certificate ADD COLUMN last_failure TEXT;

-- The rest that a certificate takes after its own renewal, whatever its dates and its CA say: when it began and ends, how
-- many renewals in a row followed such a rest at once, and the certificate that was installed.
ALTER TABLE certificate ADD COLUMN renewed_at BIGINT;
ALTER TABLE certificate ADD COLUMN rest_until BIGINT;
ALTER TABLE certificate ADD COLUMN early_renewals BIGINT NOT NULL DEFAULT 0;
ALTER TABLE certificate ADD COLUMN renewed_fingerprint TEXT;

-- Waits in a row are counted apart from failures (attempts), and failures also by what they said.
ALTER TABLE renewal ADD COLUMN polls BIGINT NOT NULL DEFAULT 0;
ALTER TABLE renewal ADD COLUMN cause TEXT;
ALTER TABLE renewal ADD COLUMN same_cause BIGINT NOT NULL DEFAULT 0;
-- The kind of hold from which an operator released the renewal; NULL after each step.
ALTER TABLE renewal ADD COLUMN decided TEXT;

-- 1 when an operator asked to bind outside the maintenance window: for the next renewal, and for the one that is open.
ALTER TABLE certificate ADD COLUMN bind_now BIGINT NOT NULL DEFAULT 0;
ALTER TABLE renewal ADD COLUMN bind_now BIGINT NOT NULL DEFAULT 0;
