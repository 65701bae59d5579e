-- Sums of rows, compared by `adpipe verify --deep`; null in rows that were written before sums were
-- kept. Where parts of a row change at different times, each part has a sum of its own.

alter table errors.dlq_errors add column record_sum integer;   -- the record as received, and where from
alter table errors.dlq_errors add column cause_sum integer;    -- what is wrong with it
alter table errors.dlq_errors add column edit_sum integer;     -- what is sent instead
alter table errors.dlq_errors add column state_sum integer;    -- where it stands
alter table errors.groups add column row_sum integer;
alter table errors.retry_history add column row_sum integer;
alter table errors.retry_history add column outcome_sum integer;
alter table errors.repeated_failures add column row_sum integer;
alter table errors.actions add column row_sum integer;
alter table errors.jobs add column row_sum integer;
alter table errors.offsets add column row_sum integer;
alter table errors.retired add column row_sum integer;
