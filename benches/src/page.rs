//! The page `docs/benchmarks.md`: a head, and sections that may be of different builds.

use crate::table::Section;
use anyhow::{Context, Result};
use std::{path::PathBuf, process::Command};

/// What is on the page.
#[derive(Default)]
pub(crate) struct Page {
    head: String,
    sections: Vec<String>,
}

impl Page {
    /// As it was written last.
    pub(crate) fn read() -> Result<Self> {
        let file = file();
        let text = std::fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
        let mut parts = text.split("\n## ").map(str::to_owned);
        let head = parts.next().unwrap_or_default();
        Ok(Self { head, sections: parts.map(|section| format!("## {section}")).collect() })
    }

    pub(crate) fn begins_with(&mut self, head: String) {
        self.head = head;
    }

    /// Puts a section in the place of the one with its title, or behind all others.
    pub(crate) fn put(&mut self, section: &Section) {
        let (title, rest) = (format!("## {}\n", section.title()), section.to_string());
        let text = rest.replacen(&title, &format!("{title}\n*Build of {}.*\n", build()), 1);
        match self.sections.iter_mut().find(|before| before.starts_with(&title)) {
            Some(before) => *before = text,
            None => self.sections.push(text),
        }
    }

    pub(crate) fn write(&self) -> Result<()> {
        let file = file();
        let sections = self.sections.iter().map(|section| format!("\n{}\n", section.trim_end())).collect::<String>();
        let text = format!("{}\n{sections}", self.head.trim_end());
        std::fs::write(&file, text).with_context(|| format!("{} cannot be written", file.display()))
    }
}

fn file() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/benchmarks.md")
}

/// Day and hash of the commit that is measured, as far as git tells.
fn build() -> String {
    let told = Command::new("git").args(["log", "-1", "--format=%cs, %h"]).output();
    let told = told.ok().filter(|output| output.status.success());
    told.map_or_else(|| "an unknown day".to_owned(), |output| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
