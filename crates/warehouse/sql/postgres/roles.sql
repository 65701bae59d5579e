-- Three roles with least rights, for a database of adpipe's own. Run once, as the owner of the
-- database or a superuser, before adpipe's first start:
--
--     createdb adpipe
--     psql -d adpipe -v ON_ERROR_STOP=1 -f roles.sql
--     psql -d adpipe -c '\password adpipe_writer'      -- and the other two
--
-- adpipe itself connects as adpipe_writer, Metabase and other BI as adpipe_reader,
-- postgres_exporter as adpipe_monitor. Running it again changes nothing.

do $$
declare
    wanted text;
begin
    foreach wanted in array array['adpipe_writer', 'adpipe_reader', 'adpipe_monitor'] loop
        if not exists (select from pg_roles where rolname = wanted) then
            execute format('create role %I login', wanted);
        end if;
        execute format('grant connect on database %I to %I', current_database(), wanted);
    end loop;
    -- Nobody else connects by default. The slow way of the stream processor needs a temporary table.
    execute format('revoke all on database %I from public', current_database());
    execute format('grant temporary on database %I to adpipe_writer', current_database());

    -- The writer owns its four schemas, as whoever attaches and drops partitions must own the
    -- table, and can make nothing outside of them.
    foreach wanted in array array['realtime', 'analytics', 'errors', 'ops'] loop
        if to_regnamespace(wanted) is null then
            execute format('create schema %I authorization adpipe_writer', wanted);
        end if;
    end loop;
end
$$;

-- The reader sees figures and runs, and no payloads: those in schema errors may hold anything.
-- `adpipe sql` works as this user, too.
grant usage on schema realtime, analytics, ops to adpipe_reader;
grant select on all tables in schema realtime, analytics, ops to adpipe_reader;
alter default privileges for role adpipe_writer in schema realtime grant select on tables to adpipe_reader;
alter default privileges for role adpipe_writer in schema analytics grant select on tables to adpipe_reader;
alter default privileges for role adpipe_writer in schema ops grant select on tables to adpipe_reader;
alter role adpipe_reader set default_transaction_read_only = on;
alter role adpipe_reader set statement_timeout = '60s';

-- The monitor sees the server's statistics and adpipe's runs.
grant pg_monitor to adpipe_monitor;
grant usage on schema ops to adpipe_monitor;
grant select on all tables in schema ops to adpipe_monitor;
alter default privileges for role adpipe_writer in schema ops grant select on tables to adpipe_monitor;
alter role adpipe_monitor set default_transaction_read_only = on;
alter role adpipe_monitor set statement_timeout = '10s';
