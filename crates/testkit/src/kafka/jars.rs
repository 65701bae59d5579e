//! Apache Kafka's server, and the JMX exporter, from Maven Central, fetched once per user.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The release under test. A change here fetches into a folder of its own.
const VERSION: &str = "4.1.0";

/// The newest release of the JMX exporter's agent that is on Maven Central.
const EXPORTER_VERSION: &str = "1.0.1";

/// The folder that holds all jars, or why there is none.
pub(super) fn fetch() -> Result<PathBuf, String> {
    fetch_into(&cache_folder()?.join(VERSION), download)
}

/// The JMX exporter's agent, one jar, or why there is none.
pub(super) fn fetch_exporter() -> Result<PathBuf, String> {
    let name = format!("jmx_prometheus_javaagent-{EXPORTER_VERSION}");
    let folder = fetch_into(&cache_folder()?.join(&name), |folder, jars| {
        let artifact = format!("io.prometheus.jmx:jmx_prometheus_javaagent:{EXPORTER_VERSION}");
        maven(folder, &["dependency:copy", &format!("-Dartifact={artifact}"), &output_directory(jars)])
    })?;
    Ok(folder.join(format!("{name}.jar")))
}

/// Fetches once into the folder's `lib`, which it gives.
fn fetch_into(
    folder: &Path,
    download: impl FnOnce(&Path, &Path) -> Result<(), String>,
) -> Result<PathBuf, String> {
    for program in ["java", "mvn"] {
        Command::new(program)
            .arg("-version")
            .output()
            .map_err(|_| format!("{program} is missing; install Java 17 and Maven"))?;
    }
    // Tests run at once and in several processes: one of them fetches, the others wait.
    std::fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let lock = std::fs::File::create(folder.join("lock")).map_err(|error| error.to_string())?;
    lock.lock().map_err(|error| error.to_string())?;
    let jars = folder.join("lib");
    if !folder.join("complete").exists() {
        download(folder, &jars)?;
        std::fs::write(folder.join("complete"), "").map_err(|error| error.to_string())?;
    }
    Ok(jars)
}

fn cache_folder() -> Result<PathBuf, String> {
    let cache = match std::env::var_os("XDG_CACHE_HOME") {
        Some(cache) => PathBuf::from(cache),
        None => PathBuf::from(std::env::var_os("HOME").ok_or("HOME is not set")?).join(".cache"),
    };
    Ok(cache.join("adpipe").join("kafka"))
}

fn download(folder: &Path, jars: &Path) -> Result<(), String> {
    let pom = format!(
        r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>adpipe</groupId><artifactId>kafka-for-tests</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>{VERSION}</version></dependency>
    <dependency><groupId>org.slf4j</groupId><artifactId>slf4j-simple</artifactId><version>1.7.36</version></dependency>
  </dependencies>
</project>
"#
    );
    std::fs::write(folder.join("pom.xml"), pom).map_err(|error| error.to_string())?;
    maven(folder, &["dependency:copy-dependencies", &output_directory(jars)])
}

fn output_directory(folder: &Path) -> String {
    format!("-DoutputDirectory={}", folder.display())
}

fn maven(folder: &Path, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("mvn")
        .args(["-q", "-B"])
        .args(arguments)
        .current_dir(folder)
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("maven cannot fetch: {}", String::from_utf8_lossy(&output.stdout)))
    }
}
