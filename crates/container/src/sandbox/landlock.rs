//! Landlock: every kind of file and TCP access is handled, and no rule allows any but reading and executing what a program is
//! made of.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, PathFdError, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope,
};
use std::path::Path;

/// The oldest interface that covers all file accesses and TCP (Linux 6.7); newer scopes are taken where they exist.
const REQUIRED: ABI = ABI::V4;
const WANTED: ABI = ABI::V6;

/// Allows reading and executing beneath these paths, and nothing else.
pub(super) fn restrict(readable: &[&Path]) -> Result<(), String> {
    let opened = readable.iter().map(PathFd::new).collect::<Result<Vec<_>, PathFdError>>();
    let opened = opened.map_err(|error| error.to_string())?;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(AccessFs::from_all(REQUIRED))
        .and_then(|rules| rules.handle_access(AccessNet::from_all(REQUIRED)))
        .map(|rules| rules.set_compatibility(CompatLevel::BestEffort))
        .and_then(|rules| rules.handle_access(AccessFs::from_all(WANTED)))
        .and_then(|rules| rules.scope(Scope::from_all(WANTED)))
        .and_then(|rules| rules.create())
        .and_then(|rules| opened.iter().try_fold(rules, |rules, path| rules.add_rule(rule(path))))
        .and_then(|rules| rules.restrict_self())
        .map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced | RulesetStatus::PartiallyEnforced => Ok(()),
        RulesetStatus::NotEnforced => Err("this kernel does not enforce it".into()),
    }
}

fn rule(path: &PathFd) -> PathBeneath<&PathFd> {
    PathBeneath::new(path, AccessFs::from_read(REQUIRED))
}
