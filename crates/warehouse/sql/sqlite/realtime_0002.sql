-- What became of records that the dead-letter queue sent again, written with their effects. Read by
-- the queue up to the stored offset of the partition, and removed after a week.
create table realtime.replays (
    topic         text    not null,
    partition     integer not null,
    record_offset integer not null,
    error_id      text    not null,
    attempt       integer not null,
    outcome       text    not null check (outcome in ('applied', 'already_counted')),
    committed_at  text    not null,
    primary key (topic, partition, record_offset)
) without rowid;
