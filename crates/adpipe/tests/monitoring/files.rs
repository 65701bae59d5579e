//! The files in config/ and docs/, as the tests read them.

use std::path::{Path, PathBuf};

/// The repository, whose files these tests read.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

/// A file of the repository.
pub fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// An alert of config/alerts.toml.
pub struct Alert {
    pub name: String,
    /// The greatest good value (`above`), or the least (`below`).
    pub threshold: f64,
    pub is_above: bool,
    pub hold: String,
    pub severity: String,
}

/// The table of alerts.
pub fn alerts() -> Vec<Alert> {
    let table: toml::Table = read("config/alerts.toml").parse().unwrap();
    let alerts = table["alert"].as_array().unwrap();
    let text = |alert: &toml::Value, key: &str| alert[key].as_str().unwrap().to_owned();
    alerts
        .iter()
        .map(|alert| Alert {
            name: text(alert, "name"),
            threshold: alert.get("above").or_else(|| alert.get("below")).unwrap().as_float().unwrap(),
            is_above: alert.get("above").is_some(),
            hold: text(alert, "for"),
            severity: text(alert, "severity"),
        })
        .collect()
}

/// A panel of a dashboard.
pub struct Panel {
    pub dashboard: String,
    pub title: String,
    pub description: String,
    /// Queries with Grafana's variables in them.
    pub queries: Vec<String>,
    /// Colours from the threshold on, the first without one.
    pub steps: Vec<(Option<f64>, String)>,
}

/// The dashboards as JSON, by file name.
pub fn dashboards() -> Vec<(String, serde_json::Value)> {
    let folder = root().join("config/grafana/dashboards");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let json = |file: &PathBuf| serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    files.iter().map(|file| (file.file_name().unwrap().to_str().unwrap().to_owned(), json(file))).collect()
}

/// Every panel of every dashboard, but for the headings.
pub fn panels() -> Vec<Panel> {
    let mut all = Vec::new();
    for (_, dashboard) in dashboards() {
        for panel in dashboard["panels"].as_array().unwrap() {
            if panel["type"] == "row" {
                continue;
            }
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
            let steps = panel["fieldConfig"]["defaults"]["thresholds"]["steps"].as_array();
            let queries = panel["targets"].as_array().unwrap();
            all.push(Panel {
                dashboard: text(&dashboard["uid"]),
                title: text(&panel["title"]),
                description: text(&panel["description"]),
                queries: queries.iter().map(|query| text(&query["expr"])).collect(),
                steps: steps
                    .into_iter()
                    .flatten()
                    .map(|step| (step["value"].as_f64(), text(&step["color"])))
                    .collect(),
            });
        }
    }
    all
}

/// What the annotations ask, without repetitions.
pub fn annotations() -> Vec<String> {
    let mut all: Vec<String> = dashboards()
        .iter()
        .flat_map(|(_, dashboard)| dashboard["annotations"]["list"].as_array().unwrap().clone())
        .map(|annotation| annotation["expr"].as_str().unwrap().to_owned())
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The values of a key in YAML, one a line, as `alert: NAME`.
pub fn values(yaml: &str, key: &str) -> Vec<String> {
    let key = format!("{key}:");
    yaml.lines()
        .filter_map(|line| line.trim().trim_start_matches("- ").strip_prefix(&key))
        .map(|value| value.trim().trim_matches(['"', '\'']).to_owned())
        .collect()
}

/// Names of series in an expression: of adpipe, of the exporters, of any process.
pub fn series(expression: &str) -> Vec<String> {
    const PREFIXES: [&str; 7] = ["adpipe_", "process_", "pg_", "kafka_", "flink_", "node_", "adpipe:"];
    let is_part = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    let mut names = Vec::new();
    // What is in quotes is not a name.
    for outside in expression.split(['"', '\'']).step_by(2) {
        let words = outside.split(|character| !is_part(character));
        names.extend(
            words.filter(|word| PREFIXES.iter().any(|prefix| word.starts_with(prefix))).map(str::to_owned),
        );
    }
    names
}
