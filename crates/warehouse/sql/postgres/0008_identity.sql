-- Who each store is, and what it remembers of the others
-- (../sqlite/realtime_0005.sql, errors_0002.sql, ops_0005.sql).

create table realtime.identity (
    id       integer     primary key check (id = 1),
    data_id  text        not null,
    store_id text        not null,
    epoch    bigint      not null,
    how_far  bigint      not null,
    made_at  timestamptz not null
);

create table realtime.peers (
    store    text        collate "C" primary key,
    store_id text        not null,
    epoch    bigint      not null,
    how_far  bigint      not null,
    seen_at  timestamptz not null
);

create table realtime.accepted (
    accepted_at timestamptz not null,
    actor       text        not null,
    store       text        collate "C" not null,
    store_id    text        not null,
    epoch       bigint      not null,
    note        text        not null,
    primary key (store, epoch, accepted_at)
);

create table errors.identity (
    id       integer     primary key check (id = 1),
    data_id  text        not null,
    store_id text        not null,
    epoch    bigint      not null,
    how_far  bigint      not null,
    made_at  timestamptz not null
);

create table errors.peers (
    store    text        collate "C" primary key,
    store_id text        not null,
    epoch    bigint      not null,
    how_far  bigint      not null,
    seen_at  timestamptz not null
);

create table errors.accepted (
    accepted_at timestamptz not null,
    actor       text        not null,
    store       text        collate "C" not null,
    store_id    text        not null,
    epoch       bigint      not null,
    note        text        not null,
    primary key (store, epoch, accepted_at)
);

create table ops.identity (
    id       integer     primary key check (id = 1),
    data_id  text        not null,
    store_id text        not null,
    epoch    bigint      not null,
    how_far  bigint      not null,
    made_at  timestamptz not null
);

create table ops.peers (
    store    text        collate "C" primary key,
    store_id text        not null,
    epoch    bigint      not null,
    how_far  bigint      not null,
    seen_at  timestamptz not null
);

create table ops.accepted (
    accepted_at timestamptz not null,
    actor       text        not null,
    store       text        collate "C" not null,
    store_id    text        not null,
    epoch       bigint      not null,
    note        text        not null,
    primary key (store, epoch, accepted_at)
);

create table realtime.lost_records (
    topic        text        collate "C" not null,
    partition    integer     not null,
    first_offset bigint      not null,
    next_offset  bigint      not null,
    since        timestamptz,
    noted_at     timestamptz not null,
    accepted_at  timestamptz,
    accepted_by  text,
    primary key (topic, partition, first_offset),
    check (next_offset > first_offset)
);
