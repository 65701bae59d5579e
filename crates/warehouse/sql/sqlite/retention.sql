-- name: drop_minutes
delete from realtime.metrics
where window_start in (
    select distinct window_start from realtime.metrics
    where window_start < ?1
    order by window_start
    limit 60
);

-- name: mergeable_commits
-- Old commits become one row a partition and hour: the account stays whole, the table small.
-- Only where they follow each other without a gap between them. Gaps within them are Kafka's.
select topic, partition, min(first_offset), max(next_offset)
from realtime.commits
where committed_at < $1
group by topic, partition, substr(committed_at, 1, 13)
having count(*) > 1 and sum(next_offset - first_offset) = max(next_offset) - min(first_offset)
order by 1, 2, 3;

-- name: newest_hour
select max(window_start) as newest from realtime.metrics_hourly;

-- name: leaving_hours
-- Hours out of the hot window whose hot events are all in the archive.
select h.event_hour
from realtime.hours h
where h.hot_copies > 0 and h.event_hour < ?1
  -- Of these the hot events may be the only good copy.
  and h.event_hour not in (select event_hour from realtime.unreadable_hours)
  and h.hot_copies = (select count(*) from realtime.events e where e.event_hour = h.event_hour)
order by 1;

-- name: is_leaving
select 1
from realtime.hours h
where h.event_hour = ?1 and h.hot_copies > 0
  and h.event_hour not in (select event_hour from realtime.unreadable_hours)
  and h.hot_copies = (select count(*) from realtime.events e where e.event_hour = h.event_hour);

-- name: drop_events
delete from realtime.events
where rowid in (select rowid from realtime.events where event_hour = ?1 limit 10000);

-- name: fewer_copies
update realtime.hours set hot_copies = hot_copies - ?2, row_sum = row_sum - ?3 where event_hour = ?1;

-- name: drop_replays
delete from realtime.replays where committed_at < ?1;
