-- An error of type archive waits until the archive's parts of an hour can be read again. Meanwhile
-- next_retry_at is null: it is not due. What is made due waits for nothing.
alter table errors.dlq_errors add column waits_for text;

create index errors.dlq_errors_waiting on dlq_errors (waits_for)
where status = 'pending' and waits_for is not null;
