"""Shared by the four DAGs of adpipe. Importing it does no work."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, Final

import pendulum
from airflow.providers.slack.notifications.slack_webhook import SlackWebhookNotifier
from airflow.sdk import Asset

#: The zone of the schedules and of "a day": the variable that adpipe itself reads.
ZONE: Final[str] = os.environ.get("ADPIPE_SCHEDULER__TIMEZONE", "UTC")

#: No run is made for an interval before this.
START: Final[pendulum.DateTime] = pendulum.datetime(2026, 1, 1, tz=ZONE)

#: What dag_daily_etl writes and dag_dbt_run reads.
DAILY_ARCHIVE: Final[Asset] = Asset(name="adpipe_daily_archive", uri="x-adpipe://archive/daily")

#: Posts to the connection slack_adpipe (an incoming webhook). It belongs to the tasks and not to
#: the DAG, whose own callback is not called in every case (apache/airflow#63374).
TELL_SLACK: Final[SlackWebhookNotifier] = SlackWebhookNotifier(
    slack_webhook_conn_id="slack_adpipe",
    text=(
        ":red_circle: {{ dag.dag_id }}.{{ ti.task_id }} failed"
        " (run {{ run_id }}, attempt {{ ti.try_number }})"
    ),
    timeout=10,
)


def task_defaults(*, retries: int, timeout: timedelta) -> dict[str, Any]:
    """Retries and timeouts of tasks, the same as in adpipe's own config/dags.toml."""
    return {
        "owner": "adpipe",
        "retries": retries,
        "retry_delay": timedelta(minutes=1),
        # A factor since Airflow 3.
        "retry_exponential_backoff": 2.0,
        "max_retry_delay": timedelta(minutes=10),
        "execution_timeout": timeout,
        "on_failure_callback": [TELL_SLACK],
    }
