-- The history becomes a chain: each event carries a hash over itself and the hash of the event before it. What is hashed,
-- and how, stands in src/store/history/chain.rs.
ALTER TABLE history ADD COLUMN hash TEXT;
-- The events up to this one were stored without a hash; they get theirs in the transaction of this file, and the number
-- stays: for them the chain holds from this moment on only.
INSERT INTO bookkeeping (name, value) SELECT 'chained_late', value FROM bookkeeping WHERE name = 'last_event';
-- The same number until that is done, then 0.
INSERT INTO bookkeeping (name, value) SELECT 'to_be_chained', value FROM bookkeeping WHERE name = 'last_event';
