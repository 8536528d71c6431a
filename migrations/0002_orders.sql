-- What a CA was asked for: when it was tried last, how much of each limit is used, and when each certificate is wanted
-- to be renewed.

-- NULL when surely nothing came of it.
ALTER TABLE intent ADD COLUMN tried_at BIGINT;
UPDATE intent SET tried_at = opened_at;
CREATE INDEX intent_of_renewal ON intent (renewal, step);
CREATE INDEX intent_tried ON intent (step, tried_at);

-- The token buckets of the CAs' rate limits: when each would have refilled wholly.
CREATE TABLE allowance (
    ca TEXT NOT NULL,
    bucket TEXT NOT NULL,
    full_at BIGINT NOT NULL,
    PRIMARY KEY (ca, bucket)
);

-- The moment at which a renewal may order, taken out of the buckets; NULL when it was used.
CREATE TABLE order_slot (
    renewal TEXT NOT NULL PRIMARY KEY REFERENCES renewal (id),
    at BIGINT
);

-- RFC 9773: the window of what is shown, the moment in it that was chosen, and when to ask again.
ALTER TABLE certificate ADD COLUMN window_start BIGINT;
ALTER TABLE certificate ADD COLUMN window_end BIGINT;
ALTER TABLE certificate ADD COLUMN window_chosen BIGINT;
ALTER TABLE certificate ADD COLUMN window_explanation TEXT;
ALTER TABLE certificate ADD COLUMN window_for TEXT;
ALTER TABLE certificate ADD COLUMN window_poll_at BIGINT;
CREATE INDEX certificate_window_poll_at ON certificate (window_poll_at) WHERE configured = 1 AND window_poll_at IS NOT NULL;
