-- What ../sqlite/realtime_0004.sql and errors_0003.sql say, as PostgreSQL has it.

-- XXH3-128 of the whole file as it was written, hexadecimal. Null for parts from before: the next
-- run of batch compares them with this list and sets it.
alter table realtime.archive_parts add column hash text collate "C";

-- One row a run of batch, stored before the run writes its first file: each file carries its run.
create table realtime.etl_runs (
    run_id      text collate "C"  primary key,
    started_at  timestamptz       not null,
    finished_at timestamptz                       -- null: it runs, or did not come to its end
);

-- Hours with a part that is missing or damaged: their events wait in the dead-letter queue.
create table realtime.unreadable_hours (
    event_hour timestamptz  primary key,
    reason     text         not null,
    since      timestamptz  not null
);

-- A sixth kind of invalid. The checks were made without a name.
do $$
declare
    old record;
begin
    for old in
        select conrelid::regclass as place, conname
        from pg_constraint
        where contype = 'c' and conrelid in ('realtime.commits'::regclass, 'realtime.files'::regclass)
          and pg_get_constraintdef(oid) like '%validation%'
    loop
        execute format('alter table %s drop constraint %I', old.place, old.conname);
    end loop;
end
$$;

alter table realtime.commits add column archive bigint not null default 0;
alter table realtime.commits add constraint commits_add_up
    check (records = valid + duplicates + parse + schema + validation + future + sink + archive);

alter table realtime.files add column archive bigint not null default 0;
alter table realtime.files add constraint files_add_up
    check (records = valid + duplicates + parse + schema + validation + future + sink + archive);

-- An error of type archive waits until the archive's parts of an hour can be read again. Meanwhile
-- next_retry_at is null: it is not due. What is made due waits for nothing.
alter table errors.dlq_errors add column waits_for timestamptz;

create index dlq_errors_waiting on errors.dlq_errors (waits_for)
where status = 'pending' and waits_for is not null;
