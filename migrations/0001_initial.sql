-- The subset that SQLite and PostgreSQL share: TEXT and BIGINT only. Times are microseconds since 1970, UTC.
-- A file here is never changed once it was released (its checksum is stored); a change is a new file.

-- Single numbers of the store itself.
CREATE TABLE bookkeeping (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL
);
-- The key of history comes from here and not from a sequence: the row's lock gives events numbers in the order
-- of their commits, on both databases, and neither database's own kind of sequence is needed.
INSERT INTO bookkeeping (name, value) VALUES ('last_event', 0);
-- Written by the probe that finds out whether anything can be stored at all.
INSERT INTO bookkeeping (name, value) VALUES ('write_probe', 0);

CREATE TABLE certificate (
    name TEXT NOT NULL PRIMARY KEY,
    firewall TEXT NOT NULL,
    ca TEXT NOT NULL,
    -- 1 while it stands in the configuration; a row is kept afterwards, for its past.
    configured BIGINT NOT NULL CHECK (configured IN (0, 1)),
    -- Changes when its configuration changes.
    hash TEXT NOT NULL,
    -- NULL while a renewal is open.
    look_at BIGINT,
    probe_at BIGINT,
    requested_at BIGINT,
    decision TEXT,
    told TEXT,
    alias TEXT,
    -- What its services showed last: all five or none.
    shown_fingerprint TEXT,
    shown_pem TEXT,
    shown_not_before BIGINT,
    shown_not_after BIGINT,
    shown_seen_at BIGINT
);
CREATE INDEX certificate_look_at ON certificate (look_at) WHERE configured = 1 AND look_at IS NOT NULL;
CREATE INDEX certificate_probe_at ON certificate (probe_at) WHERE configured = 1 AND probe_at IS NOT NULL;

CREATE TABLE firewall (
    name TEXT NOT NULL PRIMARY KEY,
    identity TEXT,
    identified_at BIGINT,
    -- Fingerprints, separated by spaces.
    learned TEXT NOT NULL DEFAULT '',
    learned_for TEXT,
    refused_logins BIGINT NOT NULL DEFAULT 0,
    refused_login_at BIGINT,
    -- One renewal at a time: who works on this firewall, and until when it may.
    lease_owner TEXT,
    lease_until BIGINT,
    -- Grows with each claim and is never reset, so that a lost lease is never valid again.
    lease_token BIGINT NOT NULL DEFAULT 0
);
CREATE INDEX firewall_leased ON firewall (lease_until) WHERE lease_until IS NOT NULL;

CREATE TABLE renewal (
    id TEXT NOT NULL PRIMARY KEY,
    certificate TEXT NOT NULL REFERENCES certificate (name),
    firewall TEXT NOT NULL REFERENCES firewall (name),
    ca TEXT NOT NULL,
    alias TEXT NOT NULL,
    reason TEXT NOT NULL,
    state TEXT NOT NULL,
    planned_at BIGINT NOT NULL,
    state_since BIGINT NOT NULL,
    ended_at BIGINT,
    -- What is served expires here; the nearest is worked on first.
    deadline BIGINT NOT NULL,
    attempts BIGINT NOT NULL DEFAULT 0,
    -- NULL: held until a person asks.
    next_attempt_at BIGINT,
    last_error_kind TEXT,
    last_error TEXT,
    csr_pem TEXT,
    ca_reference TEXT,
    leaf_pem TEXT,
    chain_pem TEXT,
    fingerprint TEXT,
    previous_bindings TEXT,
    previous_fingerprint TEXT,
    lease_owner TEXT,
    lease_until BIGINT,
    -- The firewall's token when this renewal was claimed; every write of a step names it.
    lease_token BIGINT
);
-- One open renewal per certificate, whoever plans it.
CREATE UNIQUE INDEX renewal_open ON renewal (certificate) WHERE ended_at IS NULL;
CREATE INDEX renewal_open_by_firewall ON renewal (firewall) WHERE ended_at IS NULL;
CREATE INDEX renewal_next_attempt ON renewal (next_attempt_at) WHERE ended_at IS NULL;
CREATE INDEX renewal_urgency ON renewal (deadline, next_attempt_at, firewall) WHERE ended_at IS NULL;
CREATE INDEX renewal_past ON renewal (certificate, planned_at);

-- What must not be done twice, written before it is tried.
CREATE TABLE intent (
    renewal TEXT NOT NULL REFERENCES renewal (id),
    step TEXT NOT NULL,
    reference TEXT NOT NULL,
    opened_at BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    closed_at BIGINT
);
CREATE UNIQUE INDEX intent_open ON intent (renewal, step) WHERE closed_at IS NULL;

-- Append-only.
CREATE TABLE history (
    id BIGINT NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL,
    name TEXT NOT NULL,
    level TEXT NOT NULL,
    certificate TEXT,
    renewal TEXT,
    -- A JSON object.
    fields TEXT NOT NULL
);
CREATE INDEX history_of_certificate ON history (certificate, id);
