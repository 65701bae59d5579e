"""
### Retries from the dead-letter queue

Every five minutes, `adpipe dlq retry --due` sends the errors that are due to `ad_events_retry`, once,
and ends. Section `dlq` of `adpipe.toml` sets the backoff and the number of retries.
"""

from __future__ import annotations

from datetime import timedelta

from adpipe_defaults import START, ZONE, task_defaults
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    dag_id="dag_dlq_retry",
    description="Sends errors again that are due for a retry",
    schedule=CronDataIntervalTimetable("*/5 * * * *", timezone=ZONE),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(minutes=30),
    default_args=task_defaults(retries=2, timeout=timedelta(minutes=10)),
    doc_md=__doc__,
    tags=["adpipe", "dlq"],
) as dag:
    BashOperator(
        task_id="retry",
        bash_command="adpipe dlq retry --due",
        retry_delay=timedelta(seconds=15),
        doc_md="Prints how many errors were sent.",
    )
