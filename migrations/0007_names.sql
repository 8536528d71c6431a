-- The names of the field for states, reasons and columns. The history is not touched: its events carry hashes over their
-- text, so an event keeps the name under which it was stored.

-- States. `abandoned` was one end for two, `failed` and `cancelled`: where the row does not say that the renewal left the
-- configuration, it counts as failed.
UPDATE renewal SET state = 'verification_failed' WHERE state = 'unproven';
UPDATE renewal SET state = 'cancelled' WHERE state = 'abandoned' AND last_error_kind = 'left_configuration';
UPDATE renewal SET state = 'failed' WHERE state = 'abandoned';

-- What a renewal waits for.
UPDATE renewal SET last_error_kind = CASE last_error_kind
    WHEN 'order_settling' THEN 'order_lookup'
    WHEN 'proof' THEN 'verification'
    WHEN 'proof_of_previous' THEN 'rollback_verification'
    WHEN 'lost_answer' THEN 'confirming_bind'
    WHEN 'overdue_issuance' THEN 'issuance_overdue'
    ELSE last_error_kind END
    WHERE last_error_kind IN ('order_settling', 'proof', 'proof_of_previous', 'lost_answer', 'overdue_issuance');

-- The condition of a certificate that was reported last.
ALTER TABLE certificate RENAME COLUMN told TO reported_condition;
UPDATE certificate SET reported_condition = CASE reported_condition
    WHEN 'unseen_once' THEN 'unreachable_once'
    WHEN 'unseen' THEN 'unreachable'
    WHEN 'ending' THEN 'expiring'
    WHEN 'ended' THEN 'expired'
    ELSE reported_condition END
    WHERE reported_condition IS NOT NULL;

-- When the rules say next whether the certificate is due.
ALTER TABLE certificate RENAME COLUMN look_at TO due_check_at;
-- Moved to the table `served` in migration 5.
ALTER TABLE certificate DROP COLUMN shown_fingerprint;
ALTER TABLE certificate DROP COLUMN shown_pem;
ALTER TABLE certificate DROP COLUMN shown_not_before;
ALTER TABLE certificate DROP COLUMN shown_not_after;
ALTER TABLE certificate DROP COLUMN shown_seen_at;

ALTER TABLE served RENAME COLUMN unknown_words TO unknown_detail;
ALTER TABLE served RENAME COLUMN unreachable_words TO unreachable_detail;

ALTER TABLE firewall RENAME COLUMN learned TO pins;
ALTER TABLE firewall RENAME COLUMN learned_for TO pins_for;
ALTER TABLE firewall RENAME COLUMN learned_code TO pins_code;

ALTER TABLE renewal RENAME COLUMN not_proven TO verification_failure;
ALTER TABLE renewal RENAME COLUMN bound_back_at TO previous_bound_at;
