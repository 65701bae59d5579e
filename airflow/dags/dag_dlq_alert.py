"""
### Alerts of the dead-letter queue

Every ten minutes, `adpipe alerts check` checks whether errors need a decision. While `adpipe up` or
`adpipe run monitor` runs, the monitor notifies and this task only reports. If neither runs, the task
does the monitor's work: it measures until each pending alert fires or recovers, stores the result in
`ops.alerts` and sends notifications.

The task does not fail because an alert fires. It fails if it could not measure, or if something fires
and ADPIPE_NOTIFY__SLACK_WEBHOOK is not set; then Airflow reports the failure to Slack. With `--fail`,
it fails whenever something fires.

*What to do:* use `adpipe alerts list`, `adpipe dlq list`, or the console's pages "Operations" and
"Dead-letter queue"; repair, retry or discard the errors. docs/RUNBOOK.md has a section for each alert.
"""

from __future__ import annotations

from datetime import timedelta

from adpipe_defaults import START, ZONE, task_defaults
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    dag_id="dag_dlq_alert",
    description="Checks whether the dead-letter queue needs attention, and notifies",
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
        doc_md="Exit code 1 if it could not measure, or if no notification could be sent.",
    )
