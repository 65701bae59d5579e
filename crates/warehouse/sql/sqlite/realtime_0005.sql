-- Who this store is, and what it remembers of the others: a store that is gone, older or another
-- data set's is found out by comparing them.

create table realtime.identity (
    id       integer primary key check (id = 1),
    data_id  text    not null,          -- all stores of one data set have the same
    store_id text    not null,          -- this store's own
    epoch    integer not null,          -- grows when a copy is accepted in its place
    how_far  integer not null,          -- only grows with what is committed here
    made_at  text    not null
);

-- One row for each of the others, and for each partition of the log (log:TOPIC/PARTITION, how_far
-- being the next offset).
create table realtime.peers (
    store    text    primary key,
    store_id text    not null,
    epoch    integer not null,
    how_far  integer not null,
    seen_at  text    not null
) without rowid;

-- Which copies were accepted, when and by whom.
create table realtime.accepted (
    accepted_at text    not null,
    actor       text    not null,
    store       text    not null,
    store_id    text    not null,
    epoch       integer not null,
    note        text    not null,
    primary key (store, epoch, accepted_at)
) without rowid;

-- Records that the log once had, that nobody processed, and that went with a log that is gone or
-- was replaced by an older copy.
create table realtime.lost_records (
    topic        text    not null,
    partition    integer not null,
    first_offset integer not null,
    next_offset  integer not null,
    since        text,                  -- what was sent before this was processed; null when nothing was
    noted_at     text    not null,
    accepted_at  text,
    accepted_by  text,
    primary key (topic, partition, first_offset),
    check (next_offset > first_offset)
) without rowid;
