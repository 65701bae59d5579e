"""
### The daily batch

`adpipe etl` takes every new raw file, and every closed hour that came by stream, into the Parquet
archive and the metrics. It does so whatever their date, because the last hour of a day is still open
when the next day begins. Running it twice changes nothing.

Its success updates the asset `adpipe_daily_archive`, which starts **dag_dbt_run**.

*If it fails:* the log says which file and why; correct it and clear the task.
"""

from __future__ import annotations

from datetime import timedelta

from adpipe_defaults import DAILY_ARCHIVE, START, ZONE, task_defaults
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, CronDataIntervalTimetable

with DAG(
    dag_id="dag_daily_etl",
    description="Raw files, and the closed hours that came by stream, into the archive and the metrics",
    # This timetable gives a data interval; a plain cron string gives an empty one since Airflow 3.
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=ZONE),
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=6),
    default_args=task_defaults(retries=3, timeout=timedelta(hours=4)),
    doc_md=__doc__,
    tags=["adpipe", "batch"],
) as dag:
    BashOperator(
        task_id="etl",
        bash_command="adpipe etl --json",
        outlets=[DAILY_ARCHIVE],
        doc_md="`adpipe etl`: a report per file, as JSON, is in the log.",
    )
