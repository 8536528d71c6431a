-- What each address served, what is trusted and how that is authenticated, and what counts polls and failures.

-- The time step of the last one-time code that was used to log in, by its beginning: no code is used twice.
ALTER TABLE firewall ADD COLUMN code_step BIGINT;
