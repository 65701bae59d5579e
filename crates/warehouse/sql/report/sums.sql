-- Sums of contents and of rows.

-- name: add_content
-- Both numbers are below 2^62, so that their sum is one too many bits at most. A null stays null:
-- what it stands for is not known.
insert into realtime.content_sums as s (event_hour, events, content_sum) values ($1, $2, $3)
on conflict (event_hour) do update
set events = s.events + excluded.events,
    content_sum = (s.content_sum + excluded.content_sum) & 4611686018427387903;

-- name: content_sums
select event_hour, events, content_sum from realtime.content_sums order by event_hour;

-- name: counted_sums
-- What commits and files say that they counted; some do not say it when unknown > 0.
select content_sum from realtime.commits
union all
select content_sum from realtime.files;

-- name: seal_content
update realtime.content_sums set content_sum = $2
where event_hour = $1 and events = $3 and content_sum is null;

-- name: counts_against_figures
select coalesce(s.event_hour, m.window_start) as place, coalesce(s.events, 0) as left_impressions,
       coalesce(m.impressions, 0) as right_impressions, 0 as left_clicks, 0 as right_clicks
from realtime.content_sums s
full join (
    select window_start, sum(impressions) as impressions from realtime.metrics_hourly group by window_start
) m on m.window_start = s.event_hour
where coalesce(s.events, 0) <> coalesce(m.impressions, 0)
order by 1
limit 20;

-- name: groups_against_errors
-- The counts of each cause and status, and the errors there are.
select g.fingerprint, g.status, g.errors as counted, coalesce(e.errors, 0) as errors
from (
    select fingerprint, 'pending' as status, pending as errors from errors.groups
    union all select fingerprint, 'retrying', retrying from errors.groups
    union all select fingerprint, 'exhausted', exhausted from errors.groups
    union all select fingerprint, 'resolved', resolved from errors.groups
    union all select fingerprint, 'discarded', discarded from errors.groups
) g
left join (
    select fingerprint, status, count(*) as errors from errors.dlq_errors group by fingerprint, status
) e on e.fingerprint = g.fingerprint and e.status = g.status
where g.errors <> coalesce(e.errors, 0)
order by 1, 2
limit 20;

-- name: errors_without_group
select e.error_id
from errors.dlq_errors e
left join errors.groups g on g.fingerprint = e.fingerprint
where g.fingerprint is null
order by 1
limit 20;
