//! An end that leaves everything for the next vipd, and whether there can be one: with a file that it
//! refuses, addresses would stay with nobody behind them while another router claims them.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info};

use crate::config::Config;

use super::failure::Failure;
use super::home::Home;
use super::main_loop::Daemon;
use super::options::Options;
use super::prepare;

/// How long reading the file may take.
const READ_MAX: Duration = Duration::from_secs(10);

impl Daemon<'_> {
    /// The end that comes now is that of a process, not of its work; if the next one can go on with it.
    ///
    /// # Errors
    /// Why it could not start; nothing is kept then.
    pub(super) async fn keep_all(&mut self) -> Result<(), String> {
        self.next_can_start().await.inspect_err(|why| {
            error!("the next vipd could not start, so that nothing can be left for it: {why}");
        })?;
        info!("VIPs and services stay where they are, for whoever starts next");
        self.options.keep_vips = true;
        self.options.keep_ipvs = true;
        Ok(())
    }

    /// The file is read on a thread of its own, as for a reload.
    async fn next_can_start(&self) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let (options, file) = (self.options.clone(), self.file.clone());
        let (running, home) = (Arc::clone(&self.config), self.home.clone());
        let thread = std::thread::Builder::new().name("reload".into());
        thread
            .spawn(move || {
                let _ = reply.send(read(&options, &file, &running, &home));
            })
            .map_err(|error| format!("start thread: {error}"))?;
        match tokio::time::timeout(READ_MAX, answer).await {
            Ok(Ok(read)) => read.map_err(|failure| failure.text),
            Ok(Err(_)) => Err("the thread that read the file ended by a fault".to_owned()),
            Err(_) => Err(format!(
                "{} was not read within {} s",
                self.file.display(),
                READ_MAX.as_secs()
            )),
        }
    }
}

fn read(
    options: &Options,
    file: &std::path::Path,
    running: &Config,
    home: &Home,
) -> Result<(), Failure> {
    prepare::prepare_anew(file, options, (running, home), |_| {}).map(drop)
}
