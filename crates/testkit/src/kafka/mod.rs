//! A real Apache Kafka: one broker that is its own controller, on loopback.

mod jars;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use crate::server::await_ready;
use crate::skip;

/// A running broker; it ends, and its data goes, when this is dropped.
pub struct Kafka {
    jars: PathBuf,
    folder: tempfile::TempDir,
    port: u16,
    broker: Option<Child>,
    exporter: Option<Exporter>,
}

/// The JMX exporter agent, which serves the broker's figures to Prometheus.
struct Exporter {
    jar: PathBuf,
    rules: PathBuf,
    port: u16,
}

impl Kafka {
    /// Starts a broker without topics, or says why the test is skipped.
    ///
    /// # Panics
    /// When the broker does not come up, or with `CI=true` when something is missing.
    pub fn start(test: &str) -> Option<Kafka> {
        Kafka::start_with(test, "")
    }

    /// Starts a broker with further lines of `server.properties`, which win over ours. `{port}`
    /// and `{controller}` in them become the ports.
    ///
    /// # Panics
    /// The same as [`Kafka::start`].
    pub fn start_with(test: &str, properties: &str) -> Option<Kafka> {
        Kafka::start_as(test, properties, None)
    }

    /// Starts a broker whose JMX exporter agent serves Prometheus by these rules
    /// (`config/jmx_exporter.yml`), at [`Kafka::exporter`].
    ///
    /// # Panics
    /// The same as [`Kafka::start`].
    pub fn start_monitored(test: &str, rules: &Path) -> Option<Kafka> {
        let jar = match jars::fetch_exporter() {
            Ok(jar) => jar,
            Err(reason) => {
                skip(test, &reason);
                return None;
            }
        };
        let exporter = Exporter { jar, rules: rules.to_owned(), port: crate::free_port() };
        Kafka::start_as(test, "", Some(exporter))
    }

    fn start_as(test: &str, properties: &str, exporter: Option<Exporter>) -> Option<Kafka> {
        let jars = match jars::fetch() {
            Ok(jars) => jars,
            Err(reason) => {
                skip(test, &reason);
                return None;
            }
        };
        let folder = tempfile::Builder::new().prefix("adpipe-kafka-").tempdir().unwrap();
        let (port, controller_port) = free_ports();
        write_properties(folder.path(), port, controller_port, properties);
        let mut kafka = Kafka { jars, folder, port, broker: None, exporter };
        let formatted = kafka
            .java("kafka.tools.StorageTool")
            .args(["format", "--standalone", "-t", "4L6g3nShT-eMCtK--X86sw", "-c"])
            .arg(kafka.properties())
            .output()
            .unwrap();
        assert!(formatted.status.success(), "kafka storage: {}", text(&formatted));
        kafka.start_broker();
        Some(kafka)
    }

    /// `host:port` of the broker.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` where the exporter of [`Kafka::start_monitored`] serves `/metrics`.
    ///
    /// # Panics
    /// When the broker was started without one.
    pub fn exporter(&self) -> String {
        format!("127.0.0.1:{}", self.exporter.as_ref().expect("started with an exporter").port)
    }

    /// adpipe's `log.url` for this broker.
    pub fn url(&self) -> String {
        format!("kafka://{}", self.address())
    }

    /// Ends the broker in order and starts it again on the same data and port.
    pub fn restart(&mut self) {
        self.stop();
        self.start_broker();
    }

    /// Ends the broker in order.
    pub fn stop(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            signal(broker.id(), "TERM");
            broker.wait().unwrap();
        }
    }

    /// Starts the broker again after [`Kafka::stop`] or [`Kafka::kill`].
    ///
    /// # Panics
    /// If it does not start.
    pub fn start_broker(&mut self) {
        let output = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("broker.log"))
            .unwrap();
        let agent = self.exporter.iter().map(|exporter| {
            format!(
                "-javaagent:{}=127.0.0.1:{}:{}",
                exporter.jar.display(),
                exporter.port,
                exporter.rules.display()
            )
        });
        let broker = self
            .java_with(agent, "kafka.Kafka")
            .arg(self.properties())
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        self.broker = Some(broker);
        self.wait_until_ready();
    }

    /// Ends the broker at once (`kill -9`).
    pub fn kill(&mut self) {
        if let Some(mut broker) = self.broker.take() {
            broker.kill().unwrap();
            broker.wait().unwrap();
        }
    }

    /// Stops the broker's process from running, without ending it.
    pub fn pause(&self) {
        signal(self.broker.as_ref().unwrap().id(), "STOP");
    }

    /// Lets a paused broker continue.
    pub fn resume(&self) {
        signal(self.broker.as_ref().unwrap().id(), "CONT");
    }

    /// The files that hold a topic's records, in the order of their names: of a broker that runs, to
    /// damage them.
    ///
    /// # Panics
    /// When the folder cannot be read.
    pub fn segments(&self, topic: &str) -> Vec<PathBuf> {
        let partitions = std::fs::read_dir(self.folder.path().join("data")).unwrap();
        let is_of_topic = |folder: &PathBuf| {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            name.rsplit_once('-').is_some_and(|(of, _)| of == topic)
        };
        let folders = partitions.map(|entry| entry.unwrap().path()).filter(is_of_topic);
        let mut segments: Vec<PathBuf> = folders
            .flat_map(|folder| std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()))
            .filter(|file| file.extension().is_some_and(|extension| extension == "log"))
            .collect();
        segments.sort();
        segments
    }

    fn properties(&self) -> PathBuf {
        self.folder.path().join("server.properties")
    }

    fn java(&self, class: &str) -> Command {
        self.java_with([], class)
    }

    fn java_with(&self, options: impl IntoIterator<Item = String>, class: &str) -> Command {
        let mut java = Command::new("java");
        java.args(options)
            .args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=4"])
            .arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn")
            .arg("-cp")
            .arg(format!("{}/*", self.jars.display()))
            .arg(class);
        java
    }

    /// Ready is a broker that answers a request, not one whose port is open.
    fn wait_until_ready(&mut self) {
        let (port, log) = (self.port, self.folder.path().join("broker.log"));
        await_ready("Kafka", self.broker.as_mut().unwrap(), &log, || answers(port));
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Runs kcat, a client that knows nothing of adpipe, with this standard input; none when it is
/// not installed.
pub fn kcat(arguments: &[&str], input: &[u8]) -> Option<Output> {
    let mut child = Command::new("kcat")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Some(output)
}

/// Sends a signal (`STOP`, `CONT`, `TERM` …) to a process.
///
/// # Panics
/// When there is no `kill`.
pub fn signal(process: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(process.to_string()).status();
    assert!(sent.unwrap().success(), "kill -{name} {process}");
}

/// The ports are taken and let go of: the time until the broker takes them is the risk.
fn free_ports() -> (u16, u16) {
    let listeners = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let [port, controller] = listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    (port, controller)
}

fn write_properties(folder: &Path, port: u16, controller_port: u16, further: &str) {
    let data = folder.join("data");
    let properties = format!(
        "process.roles=broker,controller\n\
         node.id=1\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller_port}\n\
         controller.listener.names=CONTROLLER\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT\n\
         log.dirs={}\n\
         num.partitions=1\n\
         auto.create.topics.enable=false\n\
         offsets.topic.replication.factor=1\n\
         offsets.topic.num.partitions=4\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         transaction.state.log.num.partitions=4\n\
         group.initial.rebalance.delay.ms=0\n\
         group.min.session.timeout.ms=1000\n\
         {}\n",
        data.display(),
        further.replace("{port}", &port.to_string()).replace("{controller}", &controller_port.to_string()),
    );
    std::fs::write(folder.join("server.properties"), properties).unwrap();
}

/// Asks for the versions of the protocol (ApiVersions, version 0), which needs no rights.
fn answers(port: u16) -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        // length, api key 18, version 0, correlation 1, client id null
        stream.write_all(&[0, 0, 0, 10, 0, 18, 0, 0, 0, 0, 0, 1, 0xff, 0xff])?;
        let mut answer = [0; 10];
        stream.read_exact(&mut answer)?;
        Ok(answer[8..10] == [0, 0])
    };
    ask().unwrap_or(false)
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}
