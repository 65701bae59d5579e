"""
### The marts

After each success of **dag_daily_etl**, `adpipe transform` builds the seeds and models of the dbt
project, runs its tests, and writes its documentation. The models read the metrics of all days, so
this run needs no data interval.

*If `test` fails:* the data breaks a rule of the project; the log names the test and its rows.
"""

from __future__ import annotations

from datetime import timedelta

from adpipe_defaults import DAILY_ARCHIVE, START, task_defaults
from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG, chain

with DAG(
    dag_id="dag_dbt_run",
    description="The marts, their tests and their documentation, after each success of dag_daily_etl",
    schedule=[DAILY_ARCHIVE],
    start_date=START,
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=timedelta(hours=2),
    default_args=task_defaults(retries=2, timeout=timedelta(minutes=30)),
    doc_md=__doc__,
    tags=["adpipe", "dbt"],
) as dag:
    run = BashOperator(
        task_id="run",
        # Seeds and models; the tests are the next task's.
        bash_command="adpipe transform build --exclude test_type:data test_type:unit",
        execution_timeout=timedelta(hours=1),
        doc_md="Builds the seeds and the models.",
    )
    test = BashOperator(
        task_id="test",
        bash_command="adpipe transform test",
        retries=1,
        doc_md="Exit code 1 if a test of the project fails.",
    )
    docs = BashOperator(
        task_id="docs",
        bash_command="adpipe transform docs",
        doc_md="Writes the documentation.",
    )
    chain(run, test, docs)
