"""What Grafana's dashboards are made of: panels, variables, annotations, in Grafana's classic JSON.

dashboards.py says what is shown; this file says how. Thresholds come from config/alerts.toml, so a
panel turns red where its alert fires.
"""

import re
import tomllib
from pathlib import Path

HERE = Path(__file__).parent
ALERTS = {
    alert["name"]: alert for alert in tomllib.loads((HERE.parent / "alerts.toml").read_text())["alert"]
}

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
COLOURS = {"critical": "red", "warning": "orange"}

# Names of series in an expression, with their matchers if they have any.
SERIES = re.compile(r"\b((?:adpipe|process|pg|kafka|flink|node)_\w+|up)\b(\{[^}]*\})?")


def matched(expression):
    """Adds the dashboard's matchers of job and instance to every series."""

    def with_matchers(found):
        own = (found[2] or "{}")[1:-1]
        matchers = ['job=~"$job"', 'instance=~"$instance"'] + ([own] if own else [])
        return f"{found[1]}{{{', '.join(matchers)}}}"

    return SERIES.sub(with_matchers, " ".join(expression.split()))


def window(alert):
    """The time over which an alert measures."""
    return ALERTS[alert]["window"]


def panel(kind, title, description, unit, queries, alert=None, width=12, height=8, options=None, custom=None):
    """A panel; `queries` are pairs of expression and legend, `alert` names the row of alerts.toml."""
    defaults = {"unit": unit, "custom": custom or {}, "color": {"mode": "palette-classic"}}
    if alert:
        description = f"{description} {sentence(alert)}"
        defaults["thresholds"] = {"mode": "absolute", "steps": steps(alert)}
        if kind == "stat":
            defaults["color"] = {"mode": "thresholds"}
        else:
            defaults["custom"]["thresholdsStyle"] = {"mode": "line"}
    elif kind == "stat":
        defaults["color"] = {"mode": "fixed", "fixedColor": "text"}
    return {
        "type": kind,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "gridPos": {"w": width, "h": height},
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "options": options or {},
        "targets": [
            {
                "datasource": DATASOURCE,
                "editorMode": "code",
                "expr": matched(expression),
                "legendFormat": legend or "__auto",
                "range": True,
                "refId": "ABCDEFGH"[index],
            }
            for index, (expression, legend) in enumerate(queries)
        ],
    }


def sentence(alert):
    """The alert in words, as the test of the thresholds reads them."""
    rule = ALERTS[alert]
    bound = f"more than {rule['above']:g}" if "above" in rule else f"less than {rule['below']:g}"
    held = "" if rule["for"] == "0s" else f" for {rule['for']}"
    return f"Alert {alert}: {bound}{held}."


def steps(alert):
    """The colours on both sides of an alert's threshold."""
    rule = ALERTS[alert]
    bad = COLOURS[rule["severity"]]
    if "above" in rule:
        return [{"color": "green", "value": None}, {"color": bad, "value": rule["above"]}]
    return [{"color": bad, "value": None}, {"color": "green", "value": rule["below"]}]


def stat(title, description, unit, expression, alert=None, width=4, decimals=None):
    """One number, with its course behind it."""
    options = {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "textMode": "auto",
    }
    made = panel("stat", title, description, unit, [(expression, None)], alert, width, 4, options)
    if decimals is not None:
        made["fieldConfig"]["defaults"]["decimals"] = decimals
    return made


def chart(title, description, unit, *queries, alert=None, width=12, stacked=False, from_zero=True):
    """Lines over time."""
    custom = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 20 if stacked else 0,
        "showPoints": "never",
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
    }
    options = {
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    made = panel("timeseries", title, description, unit, queries, alert, width, 8, options, custom)
    if from_zero:
        made["fieldConfig"]["defaults"]["min"] = 0
    return made


def heat_map(title, description, unit, expression, width=12):
    """How a histogram's buckets fill over time."""
    options = {
        "calculate": False,
        "yAxis": {"unit": unit, "axisPlacement": "left"},
        "cellGap": 1,
        "color": {"mode": "scheme", "scheme": "Oranges", "steps": 64, "exponent": 0.5},
        "filterValues": {"le": 1e-9},
        "legend": {"show": True},
        "tooltip": {"mode": "single", "yHistogram": False},
    }
    made = panel("heatmap", title, description, unit, [(expression, "{{le}}")], None, width, 8, options)
    made["targets"][0]["format"] = "heatmap"
    return made


def row(title):
    """A heading over the panels that follow."""
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"w": 24, "h": 1}}


def placed(panels):
    """Gives panels their ids and places, left to right, as they are read."""
    x = y = line = 0
    for number, each in enumerate(panels, 1):
        place = each["gridPos"]
        if x + place["w"] > 24:
            x, y, line = 0, y + line, 0
        each["id"] = number
        each["gridPos"] = {"x": x, "y": y, "w": place["w"], "h": place["h"]}
        x, line = x + place["w"], max(line, place["h"])
    return panels


def variable(name, query):
    """A choice of label values, read again with the time range; All matches every value."""
    return {
        "type": "query",
        "name": name,
        "label": name.title(),
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": "StandardVariableQuery"},
        "definition": query,
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
        "current": {"text": "All", "value": "$__all", "selected": True},
        "options": [],
        "hide": 0,
    }


def annotation(name, colour, expression, title, text, enabled=True):
    """Marks over the charts at the times at which a query has a value."""
    return {
        "name": name,
        "datasource": DATASOURCE,
        "enable": enabled,
        "hide": False,
        "iconColor": colour,
        "expr": expression,
        "step": "60s",
        "titleFormat": title,
        "textFormat": text,
        "tagKeys": "dag,state,alertname,severity,rule",
        "useValueForTime": False,
    }


ANNOTATIONS = [
    annotation(
        "DAG runs", "blue",
        "sum by (dag, state) (increase(adpipe_dag_runs_total[1m])) > 0", "{{dag}}", "{{state}}",
    ),
    annotation(
        "Alerts", "red",
        'max by (alertname, severity) (ALERTS{alertname=~"Adpipe.+", alertstate="firing"})',
        "{{alertname}}", "{{severity}}",
    ),
    # The same as adpipe itself sees it, for those who run the monitor role; off, so that nothing is
    # marked twice.
    annotation(
        "Alerts of adpipe", "orange",
        'max by (rule) (adpipe_alerts{state="firing"}) > 0', "{{rule}}", "firing", enabled=False,
    ),
]


def dashboard(uid, title, description, panels, jobs="adpipe_build_info"):
    """A whole dashboard; `jobs` is the series whose jobs and instances are to choose from."""
    datasource = {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "regex": "",
        "refresh": 1,
        "current": {},
        "options": [],
        "hide": 0,
        "includeAll": False,
        "multi": False,
    }
    return {
        "id": None,
        "uid": uid,
        "title": title,
        "description": description,
        "tags": ["adpipe"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timepicker": {},
        "links": [
            {
                "type": "dashboards", "title": "adpipe", "tags": ["adpipe"], "asDropdown": True,
                "includeVars": True, "keepTime": True, "targetBlank": False, "icon": "external link",
            }
        ],
        "annotations": {"list": ANNOTATIONS},
        "templating": {
            "list": [
                datasource,
                variable("job", f"label_values({jobs}, job)"),
                variable("instance", f'label_values({jobs}{{job=~"$job"}}, instance)'),
            ]
        },
        "panels": placed(panels),
    }
