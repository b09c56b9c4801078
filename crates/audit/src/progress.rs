//! A bar for people. It is drawn on standard error, and only if that is a terminal.

use cryptlet_node::chain_file::Progress;
use indicatif::{ProgressBar, ProgressStyle};

pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// For a file of this length; `None` if it is a pipe.
    pub(crate) fn new(bytes: Option<u64>, is_quiet: bool) -> Self {
        let bar = if is_quiet { ProgressBar::hidden() } else { ProgressBar::no_length() };
        let template = match bytes {
            Some(bytes) => {
                bar.set_length(bytes);
                "{bar:40} {percent:>3}%  {msg}  {elapsed_precise} (about {eta} left)"
            }
            None => "{spinner} {msg}  {elapsed_precise}",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("the templates above are well-formed"));
        Self(bar)
    }

    pub(crate) fn update(&self, progress: Progress) {
        self.0.set_position(progress.bytes);
        self.0.set_message(format!("block {}", progress.block_number));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
