"""
### Alerts of the dead-letter queue

Every ten minutes: `adpipe alerts check` looks whether errors need a person. While `adpipe up` or
`adpipe run monitor` is at work, that one tells people and this only reports. When nobody is, this
does the monitor's work: alerts that come up are looked at until they have held for their time,
kept in `ops.alerts` and told.

The task does not fail because an alert fires. It fails when it could not look, and when something
fires of which adpipe can tell nobody, as ADPIPE_NOTIFY__SLACK_WEBHOOK is not set: then Slack is
told of the failure by Airflow. With `--fail` it fails whenever something fires.

*What to do:* `adpipe alerts list`, `adpipe dlq list`, or the console's pages "Operations" and
"Errors"; repair, retry or dismiss. docs/RUNBOOK.md has a section for each alert.
"""

from __future__ import annotations

from datetime import timedelta

from adpipe_defaults import START, ZONE, task_defaults
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    dag_id="dag_dlq_alert",
    description="Looks whether the dead-letter queue needs a person, and has people told",
    schedule=CronDataIntervalTimetable("*/10 * * * *", timezone=ZONE),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    # Not retried: it comes again in ten minutes.
    default_args=task_defaults(retries=0, timeout=timedelta(minutes=5)),
    doc_md=__doc__,
    tags=["adpipe", "dlq", "alert"],
) as dag:
    BashOperator(
        task_id="check",
        bash_command="adpipe alerts check --signal dlq --signal error_share",
        doc_md="Exit code 1 when it could not look, or nobody could be told.",
    )
