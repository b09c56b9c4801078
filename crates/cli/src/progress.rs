//! What is happening while a person waits: a spinner on a terminal, nothing elsewhere.

use crate::args::OutputArgs;
use indicatif::{ProgressBar, ProgressStyle};
use std::{io::IsTerminal, time::Duration};

/// A line that says what is being done.
pub(crate) struct Progress(Option<ProgressBar>);

impl Progress {
    pub(crate) fn start(output: OutputArgs, what: &str) -> Self {
        if output.json || output.quiet || !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})").expect("the template is well-formed");
        let bar = ProgressBar::new_spinner().with_style(style).with_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(Some(bar))
    }

    pub(crate) fn step(&self, what: &str) {
        match &self.0 {
            Some(bar) => bar.set_message(what.to_owned()),
            None => tracing::debug!("{what}"),
        }
    }

    pub(crate) fn done(self) {
        if let Some(bar) = self.0 {
            bar.finish_and_clear();
        }
    }
}
