//! Sections of the page: a title, what was measured and how, and a table.

use std::fmt::{Display, Formatter, Result};

/// One section.
pub(crate) struct Section {
    title: &'static str,
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    before: Vec<String>,
    after: Vec<String>,
}

impl Section {
    pub(crate) fn new(title: &'static str, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|column| (*column).to_owned()).collect();
        Self { title, columns, rows: Vec::new(), before: Vec::new(), after: Vec::new() }
    }

    pub(crate) fn title(&self) -> &'static str {
        self.title
    }

    /// How it was measured: a paragraph before the table.
    pub(crate) fn how(mut self, text: impl Into<String>) -> Self {
        self.before.push(text.into());
        self
    }

    /// What it means: a paragraph behind the table.
    pub(crate) fn finding(mut self, text: impl Into<String>) -> Self {
        self.after.push(text.into());
        self
    }

    pub(crate) fn row(&mut self, cells: &[String]) {
        assert_eq!(cells.len(), self.columns.len(), "a row of {:?} has other columns", self.title);
        self.rows.push(cells.to_vec());
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        writeln!(f, "## {}", self.title)?;
        self.before.iter().try_for_each(|text| writeln!(f, "\n{text}"))?;
        if !self.rows.is_empty() {
            writeln!(f, "\n| {} |", self.columns.join(" | "))?;
            writeln!(f, "|{}", " --- |".repeat(self.columns.len()))?;
            self.rows.iter().try_for_each(|row| writeln!(f, "| {} |", row.join(" | ")))?;
        }
        self.after.iter().try_for_each(|text| writeln!(f, "\n{text}"))
    }
}

/// Says on the error stream what goes on.
#[expect(clippy::print_stderr, reason = "progress of a command for people")]
pub(crate) fn progress(what: &str) {
    eprintln!("benches: {what}");
}
