-- Who the log is, which offsets it skipped, and what makes its rows checkable one by one.
-- A row_sum is a checksum over the row's other columns (src/sqlite/sums.rs); the program fills in
-- those of old rows, and makes the identity, when it opens the file (src/sqlite/identity.rs).
create table log_identity (
    id           integer primary key check (id = 1),
    log_id       text    not null,   -- UUIDv7, made with the file
    epoch        integer not null,   -- one more each time offsets were skipped
    created_at   integer not null,   -- milliseconds since the Unix epoch, UTC
    row_sum      integer not null
);

-- Offsets that no record will ever have: the log was older than its readers, and went on after them.
create table log_gaps (
    topic        text    not null,
    partition    integer not null,
    from_offset  integer not null,
    to_offset    integer not null,   -- the first offset after the gap
    epoch        integer not null,   -- the epoch that began with it; 0 for gaps of before this migration
    at           integer not null,
    row_sum      integer,
    primary key (topic, partition, from_offset)
) without rowid;

-- The oldest offset that is still kept; moved by retention.
alter table partitions add column first_offset integer not null default 0;
alter table partitions add column row_sum integer;
alter table sources add column row_sum integer;

-- What crc32 covers: 0 the data; 1 also topic, partition, base_offset, records, raw_bytes, appended_at.
alter table chunks add column crc_covers integer not null default 0;

insert into log_gaps (topic, partition, from_offset, to_offset, epoch, at)
select topic, partition, expected, base_offset, 0, 0
from (
    select topic, partition, base_offset,
           lag(base_offset + records) over (partition by topic, partition order by base_offset) as expected
    from chunks
)
where base_offset > expected;

insert into log_gaps (topic, partition, from_offset, to_offset, epoch, at)
select p.topic, p.partition, c.expected, p.next_offset, 0, 0
from partitions p
join (
    select topic, partition, max(base_offset + records) as expected from chunks group by topic, partition
) c on c.topic = p.topic and c.partition = p.partition
where p.next_offset > c.expected;

update partitions
set first_offset = coalesce(
    (select min(c.base_offset) from chunks c where c.topic = partitions.topic and c.partition = partitions.partition),
    next_offset);
