-- name: drop_minutes
delete from realtime.metrics
where window_start in (
    select distinct window_start from realtime.metrics
    where window_start < $1
    order by window_start
    limit 60
);

-- name: try_lock
-- Two processes that keep house at once: one is enough. "admerge" in ASCII.
select pg_try_advisory_xact_lock(27413493757142885) as is_ours;

-- name: mergeable_commits
-- Old commits become one row a partition and hour: the account stays whole, the table small.
-- Only where they follow each other without a gap between them. Gaps within them are Kafka's.
select topic, partition, min(first_offset), max(next_offset)
from realtime.commits
where committed_at < $1
group by topic, partition, date_trunc('hour', committed_at, 'UTC')
having count(*) > 1 and sum(next_offset - first_offset) = max(next_offset) - min(first_offset)
order by 1, 2, 3;

-- name: drop_replays
delete from realtime.replays where committed_at < $1;
