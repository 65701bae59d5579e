"""
### Alerts of the dead-letter queue

Every ten minutes: `adpipe dlq check` looks whether errors need a person. When one of its alerts
fires it prints it and ends with exit code 1: the task fails, and that is what Slack is told.

*What to do:* `adpipe dlq list`, or the console's page "Errors"; repair, retry or dismiss.
"""

from __future__ import annotations

from datetime import timedelta

from adpipe_defaults import START, ZONE, task_defaults
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    dag_id="dag_dlq_alert",
    description="Fails when the dead-letter queue needs a person",
    schedule=CronDataIntervalTimetable("*/10 * * * *", timezone=ZONE),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=10),
    # Not retried: an alert that fires does not stop doing so by asking again.
    default_args=task_defaults(retries=0, timeout=timedelta(minutes=5)),
    doc_md=__doc__,
    tags=["adpipe", "dlq", "alert"],
) as dag:
    BashOperator(
        task_id="check",
        bash_command="adpipe dlq check",
        doc_md="Exit code 1 when an alert fires.",
    )
