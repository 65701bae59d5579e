//! Ctrl-C and SIGTERM end everything in order; a second one at once.

use adpipe_stream::shutdown::Shutdown;
use anyhow::Context;

/// The same for a command without a runtime of its own, for as long as it runs.
pub fn watch(shutdown: &Shutdown) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    end_on_signal(&runtime, shutdown)?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))
        .context("cannot start the signal thread")?;
    Ok(())
}

/// Turns the switch off at the first signal; ends the process at the second.
pub fn end_on_signal(runtime: &tokio::runtime::Runtime, shutdown: &Shutdown) -> anyhow::Result<()> {
    let _in_runtime = runtime.enter();
    let mut interrupt = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::interrupt())
        .context("cannot listen for Ctrl-C")?;
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())
        .context("cannot listen for SIGTERM")?;
    let shutdown = shutdown.clone();
    runtime.spawn(async move {
        let mut asked = false;
        loop {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if asked {
                std::process::exit(130);
            }
            asked = true;
            shutdown.trigger();
        }
    });
    Ok(())
}
