-- Alerts and silences. Both databases.

-- name: keep
-- What people did to it (acknowledged_*, note) is theirs to change.
insert into ops.alerts
    (alert_id, rule, labels, severity, state, value, worst, threshold, context, pending_since, firing_since,
     resolved_at, updated_at, acknowledged_at, acknowledged_by, note, announced)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
on conflict (alert_id) do update
set severity = excluded.severity, state = excluded.state, value = excluded.value, worst = excluded.worst,
    threshold = excluded.threshold, context = excluded.context, firing_since = excluded.firing_since,
    resolved_at = excluded.resolved_at, updated_at = excluded.updated_at, announced = excluded.announced;

-- name: forget
-- It passed before it fired.
delete from ops.alerts where alert_id = $1 and state = 'pending';

-- name: open
select alert_id, rule, labels, severity, state, value, worst, threshold, context, pending_since, firing_since,
    resolved_at, updated_at, acknowledged_at, acknowledged_by, note, announced
from ops.alerts
where state <> 'resolved'
order by alert_id desc;

-- name: unfinished
-- Open, or ended without a notification.
select alert_id, rule, labels, severity, state, value, worst, threshold, context, pending_since, firing_since,
    resolved_at, updated_at, acknowledged_at, acknowledged_by, note, announced
from ops.alerts
where state <> 'resolved' or announced <> 'resolved'
order by alert_id;

-- name: history
select alert_id, rule, labels, severity, state, value, worst, threshold, context, pending_since, firing_since,
    resolved_at, updated_at, acknowledged_at, acknowledged_by, note, announced
from ops.alerts
where state = 'firing' or state = 'resolved' and resolved_at >= $1
order by alert_id desc
limit 10000;

-- name: one
select alert_id, rule, labels, severity, state, value, worst, threshold, context, pending_since, firing_since,
    resolved_at, updated_at, acknowledged_at, acknowledged_by, note, announced
from ops.alerts
where alert_id = $1;

-- name: acknowledge
update ops.alerts
set acknowledged_at = $2, acknowledged_by = $3, note = $4
where alert_id = $1 and state <> 'resolved';

-- name: retire
delete from ops.alerts where state = 'resolved' and resolved_at < $1;

-- name: silence
insert into ops.silences (silence_id, rule, labels, starts_at, ends_at, comment, created_by, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8);

-- name: silences
select silence_id, rule, labels, starts_at, ends_at, comment, created_by, created_at
from ops.silences
where ends_at > $1
order by silence_id desc;

-- name: end_silence
update ops.silences set ends_at = $2 where silence_id = $1 and ends_at > $2;

-- name: retire_silences
delete from ops.silences where ends_at < $1;
