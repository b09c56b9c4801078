//! What an author is told of code before anyone runs it: what would be refused, and what decides whether a call is a function of
//! its inputs. Reading only; whether the code compiles and starts is for [`IsolationProvider::prepare`](crate::IsolationProvider)
//! to say.

mod program;
mod wasm;

use crate::{
    code::{GuestCode, Kind},
    evm,
};
use serde::Serialize;
use std::fmt;

/// Findings of one kind that are told one by one; more are counted.
const ALIKE_MAX: usize = 8;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Good to know.
    Note,
    /// It runs, but may not do what its author expects.
    Warning,
    /// It is refused.
    Refusal,
}

/// One thing seen in code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is, in one fixed word.
    pub rule: &'static str,
    /// Where it was seen.
    pub place: String,
    /// What was seen.
    pub what: String,
    /// What would be right.
    pub advice: String,
}

/// Everything seen in code.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The findings, worst first.
    pub findings: Vec<Finding>,
}

impl Report {
    /// Reads code of any kind. `claims_determinism` is what its author says of it.
    pub fn of(code: &GuestCode, claims_determinism: bool) -> Self {
        let mut report = Self::default();
        match code {
            GuestCode::Wasm(component) => wasm::check(component, &mut report),
            GuestCode::Process { program, spec } => program::check(program, spec, &mut report),
            GuestCode::Evm { code, is_creation } => check_contract(code, *is_creation, &mut report),
        }
        if claims_determinism && !code.kind().is_deterministic() {
            report.refuse(
                "determinism-claimed",
                "config.json",
                format!("determinism is claimed for kind {}", code.kind()),
                "write \"deterministic\": false, or build a component",
            );
        }
        if !claims_determinism && code.kind() == Kind::Wasm {
            report.note(
                "determinism-not-claimed",
                "config.json",
                "the author does not claim determinism".to_owned(),
                "a component is deterministic by construction; leave \"deterministic\" out",
            );
        }
        report.settle();
        report
    }

    /// Is there nothing that it would be refused for?
    pub fn is_accepted(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity != Severity::Refusal)
    }

    /// Adds something that it is refused for.
    pub fn refuse(&mut self, rule: &'static str, place: &str, what: String, advice: &str) {
        self.add(Severity::Refusal, rule, place, what, advice);
    }

    /// Adds something that its author may not expect.
    pub fn warn(&mut self, rule: &'static str, place: &str, what: String, advice: &str) {
        self.add(Severity::Warning, rule, place, what, advice);
    }

    fn note(&mut self, rule: &'static str, place: &str, what: String, advice: &str) {
        self.add(Severity::Note, rule, place, what, advice);
    }

    fn add(&mut self, severity: Severity, rule: &'static str, place: &str, what: String, advice: &str) {
        let advice = advice.to_owned();
        let alike = self.findings.iter().filter(|finding| finding.rule == rule).count();
        match alike {
            ALIKE_MAX => {
                let (place, what) = ("and further".to_owned(), "there is more of this".to_owned());
                self.findings.push(Finding { severity, rule, place, what, advice });
            }
            more if more > ALIKE_MAX => {}
            _ => self.findings.push(Finding { severity, rule, place: place.to_owned(), what, advice }),
        }
    }

    fn settle(&mut self) {
        self.findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
    }
}

fn check_contract(code: &[u8], is_creation: bool, report: &mut Report) {
    let most = if is_creation { 2 * evm::CODE_BYTES_MAX } else { evm::CODE_BYTES_MAX };
    if code.is_empty() || code.len() > most {
        let what = format!("it has {} bytes; 1 to {most} are accepted", code.len());
        report.refuse("code-size", "the code", what, "split it, or build a component");
    }
    report.note(
        "fixed-rules",
        "the code",
        "it runs under the rules of Prague, whatever the chain's are".to_owned(),
        "there is one account, no delegate and no past block; the block's number and time are those of the call",
    );
}

/// What a component says of the languages and tools it was made with: kind of tool, name, version.
pub fn producers(component: &[u8]) -> Vec<(String, String, String)> {
    wasm::producers(component)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Refusal => "refused",
        };
        write!(f, "{severity} [{}] {}: {}\n    {}", self.rule, self.place, self.what, self.advice)
    }
}
