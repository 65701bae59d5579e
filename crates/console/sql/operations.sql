-- What the page "Operations" asks beside crates/monitor; both databases understand it.

-- name: newest_reading
select max(at) as newest from ops.readings;

-- name: latencies
-- Of a span of time, for the heat map.
select committed_at, latency_counts from realtime.commits where committed_at >= $1 and committed_at < $2;
