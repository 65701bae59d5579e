//! Runs a broker for trying things out: `cargo run --release -p adpipe-testkit --example kafka`.
//! It prints its URL and ends when its input does (Ctrl-D).
#![allow(clippy::unwrap_used, reason = "a tool for developers")]

fn main() {
    let Some(kafka) = adpipe_testkit::kafka::Kafka::start("the kafka example") else { return };
    println!("{}", kafka.url());
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
}
