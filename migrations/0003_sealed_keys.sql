-- The private key of a renewal whose key renewd made itself: sealed, and only until the new certificate is proven.
ALTER TABLE renewal ADD COLUMN sealed_key TEXT;
