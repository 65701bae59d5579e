-- Which records of each commit are in error: the account's last word on a record. An attempt that
-- died before its commit may have appended errors of records that the next attempt counted; by
-- this such errors are known to be void. Written with the commit, and kept for a day.
create table realtime.invalid_offsets (
    topic        text    not null,
    partition    integer not null,
    first_offset integer not null,        -- of the commit
    next_offset  integer not null,
    committed_at text    not null,
    offsets      text    not null,        -- ascending: "5 7-9"
    row_sum      integer not null,        -- checksum of the other columns but committed_at
    primary key (topic, partition, first_offset)
) without rowid;

-- From which offset on the table above is complete; from the beginning where there is no row.
create table realtime.invalid_since (
    topic       text    not null,
    partition   integer not null,
    next_offset integer not null,
    primary key (topic, partition)
) without rowid;

insert into realtime.invalid_since (topic, partition, next_offset)
select topic, partition, next_offset from realtime.offsets;
