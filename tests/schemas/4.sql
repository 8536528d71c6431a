-- Rows as a renewd with the tables of migrations 1 to 4 wrote them.
UPDATE bookkeeping SET value = 2 WHERE name = 'last_event';
INSERT INTO certificate (name, firewall, ca, configured, hash, probe_at, decision, alias, shown_fingerprint, shown_pem, shown_not_before, shown_not_after, shown_seen_at)
VALUES ('portal', 'hq', 'office', 1, 'a1', 1800000300000000, 'due', 'portal-old', '0000000000000000000000000000000000000000000000000000000000000001', 'PEM', 1790000000000000, 1801000000000000, 1800000000000000);
INSERT INTO certificate (name, firewall, ca, configured, hash) VALUES ('gone', 'branch', 'office', 0, 'b2');
INSERT INTO firewall (name, identity, identified_at, learned, learned_for, refused_logins, lease_owner, lease_until, lease_token)
VALUES ('hq', '{}', 1800000000000000, '0000000000000000000000000000000000000000000000000000000000000002', 'sha256', 1, 'renewd-7', 1800000060000000, 3);
INSERT INTO renewal (id, certificate, firewall, ca, alias, reason, state, planned_at, state_since, deadline, attempts, next_attempt_at, last_error_kind, last_error, csr_pem, ca_reference, lease_owner, lease_until, lease_token)
VALUES ('270115-abcdef', 'portal', 'hq', 'office', 'portal-270115-abcdef', 'share_of_lifetime_spent', 'submitted', 1800000000000000, 1800000010000000, 1801000000000000, 2, 1800000020000000, 'busy', 'somebody is there', 'CSR', 'order-1', 'renewd-7', 1800000060000000, 3);
INSERT INTO intent (renewal, step, reference, opened_at, tried_at, tries, closed_at)
VALUES ('270115-abcdef', 'submit', 'order-1', 1800000005000000, 1800000005000000, 1, 1800000010000000);
INSERT INTO intent (renewal, step, reference, opened_at, tried_at, tries) VALUES ('270115-abcdef', 'import', 'portal-270115-abcdef', 1800000015000000, 1800000015000000, 1);
INSERT INTO history (id, at, name, level, certificate, renewal, fields, hash) VALUES (1, 1790000000000000, 'certificate_added', 'info', 'portal', NULL, '{"event":"certificate_added"}', 'ab01bc750afc1129ab34079d0e87eac9f130b86d46948dd3e510a39317e30e3c');
INSERT INTO history (id, at, name, level, certificate, renewal, fields, hash) VALUES (2, 1800000000000000, 'renewal_planned', 'info', 'portal', '270115-abcdef', '{"event":"renewal_planned"}', '8a784a752578320bc70e6f100809bfc2e08ada9d21a193a4680056c5fa692cfb');
INSERT INTO allowance (ca, bucket, full_at) VALUES ('office', 'account', 1800003600000000);
INSERT INTO order_slot (renewal, at) VALUES ('270115-abcdef', 1800000030000000);
UPDATE renewal SET sealed_key = 'sealed-1:AAAA';
