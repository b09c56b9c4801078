//! Runtimes by name: a package names one, the machine decides what that is, and what of its files the program may read.
//! A package never names a path.

use super::{ARGUMENT_BYTES_MAX, ProgramSpec};
use crate::fault::ContainerFault;
use serde::{Deserialize, Serialize};
use std::{
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

/// What runs a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// Nothing: the program is an ELF executable.
    Native,
    /// A Java virtual machine; the program is a jar with a `Main-Class`.
    Java,
    /// Node.js; the program is an ECMAScript module.
    Node,
    /// CPython; the program is a script or a zip application.
    Python,
    /// .NET; the program is an assembly for the shared framework.
    Dotnet,
    /// Mono; the program is an assembly.
    Mono,
}

/// Where the program's own file lies inside.
pub(crate) const PROGRAM_FOLDER: &str = "/package";
/// Folders of shared libraries and of the dynamic linker, where they exist.
const LIBRARIES: [&str; 5] =
    ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/lib/x86_64-linux-gnu", "/lib64"];
/// Links at the root that a program's view of the machine has, too, where the machine has them.
const LINKS: [&str; 2] = ["/lib", "/lib64"];

/// What a program sees of the machine, and how it is started there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RuntimeView {
    /// Path of the executable inside; the program's own file if there is no runtime.
    pub(crate) executable: PathBuf,
    /// Arguments, the name of the program first.
    pub(crate) arguments: Vec<String>,
    /// Environment, as `NAME=value`.
    pub(crate) environment: Vec<String>,
    /// Files and folders that are bound in, read-only, under their own names.
    pub(crate) binds: Vec<PathBuf>,
    /// Links: name and what it points to.
    pub(crate) links: Vec<(PathBuf, PathBuf)>,
    /// Name of the program's file in its folder.
    pub(crate) program: String,
}

impl Runtime {
    /// Every runtime.
    pub const ALL: [Self; 6] = [Self::Native, Self::Java, Self::Node, Self::Python, Self::Dotnet, Self::Mono];

    /// Its name, as configurations write it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Java => "java",
            Self::Node => "node",
            Self::Python => "python",
            Self::Dotnet => "dotnet",
            Self::Mono => "mono",
        }
    }

    /// How the program's file is called inside: some runtimes go by the ending.
    const fn file(self) -> &'static str {
        match self {
            Self::Native => "program",
            Self::Java => "program.jar",
            Self::Node => "program.mjs",
            Self::Python => "program.py",
            Self::Dotnet => "program.dll",
            Self::Mono => "program.exe",
        }
    }

    /// Where its executable is looked for; the first that exists is it.
    const fn candidates(self) -> &'static [&'static str] {
        match self {
            Self::Native => &[],
            Self::Java => &["/usr/bin/java", "/usr/lib/jvm/default-java/bin/java", "/opt/java/bin/java"],
            Self::Node => &["/usr/bin/node", "/usr/bin/nodejs", "/usr/local/bin/node"],
            Self::Python => &["/usr/bin/python3", "/usr/local/bin/python3"],
            Self::Dotnet => &["/usr/bin/dotnet", "/usr/share/dotnet/dotnet", "/usr/local/bin/dotnet"],
            Self::Mono => &["/usr/bin/mono"],
        }
    }

    /// Is it on this machine?
    pub fn is_here(self) -> bool {
        self == Self::Native || self.executable().is_ok()
    }

    fn executable(self) -> Result<PathBuf, ContainerFault> {
        // Behind `/usr/bin/java` are links to the one true place, which is what must be bound in.
        let found = self.candidates().iter().find_map(|path| fs::canonicalize(path).ok());
        found.ok_or_else(|| ContainerFault::NoRuntime { runtime: self.name(), looked: self.candidates().join(", ") })
    }

    /// Arguments of ours, before the author's: quick to start, quiet on disk, small.
    fn own_arguments(self, spec: &ProgramSpec) -> Vec<String> {
        let fixed: &[&str] = match self {
            Self::Native | Self::Mono => &[],
            Self::Java => &[
                "-XX:-UsePerfData",
                "-XX:+UseSerialGC",
                "-XX:TieredStopAtLevel=1",
                "-XX:+DisableAttachMechanism",
                "-XX:-CreateCoredumpOnCrash",
                "-XX:+SuppressFatalErrorMessage",
                "-XX:ReservedCodeCacheSize=64m",
                "-XX:CompressedClassSpaceSize=64m",
                "-Xshare:auto",
            ],
            Self::Node => &["--no-warnings"],
            Self::Python => &["-I", "-B", "-S"],
            Self::Dotnet => &["exec"],
        };
        let mut arguments: Vec<String> = fixed.iter().map(ToString::to_string).collect();
        let mebibytes = spec.memory_bytes_max >> 20;
        match self {
            Self::Java => arguments.push(format!("-Xmx{}m", mebibytes / 4)),
            Self::Node => arguments.push(format!("--max-old-space-size={}", mebibytes / 4)),
            _ => {}
        }
        arguments
    }

    /// What is wrong with an author's argument, if anything is.
    pub(crate) fn objection_to(self, argument: &str) -> Option<String> {
        const JAVA: [&str; 6] = ["-Xmx", "-Xms", "-Xss", "-XX:", "-D", "-ea"];
        const JAVA_NOT: [&str; 5] = [
            "-XX:OnError",
            "-XX:OnOutOfMemoryError",
            "-XX:Flags",
            "-XX:VMOptionsFile",
            "-XX:+EnableDynamicAgentLoading",
        ];
        const NODE: [&str; 3] = ["--max-", "--stack-size", "--enable-source-maps"];
        const PYTHON: [&str; 3] = ["-O", "-X", "-W"];
        let (allowed, forbidden): (&[&str], &[&str]) = match self {
            Self::Java => (&JAVA, &JAVA_NOT),
            Self::Node => (&NODE, &[]),
            Self::Python => (&PYTHON, &[]),
            Self::Native | Self::Dotnet | Self::Mono => (&[], &[]),
        };
        let begins = |list: &[&str]| list.iter().any(|start| argument.starts_with(start));
        if argument.len() > ARGUMENT_BYTES_MAX || argument.chars().any(char::is_control) {
            return Some(format!("the argument {argument:?} is too long or not plain text"));
        }
        if begins(allowed) && !begins(forbidden) {
            return None;
        }
        let choice = if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") };
        Some(format!("the argument {argument:?} is not accepted for {self}; those are that begin with: {choice}"))
    }

    /// What a program of this runtime sees of this machine.
    pub(crate) fn view(self, spec: &ProgramSpec) -> Result<RuntimeView, ContainerFault> {
        let program = format!("{PROGRAM_FOLDER}/{}", self.file());
        let (executable, mut binds) = match self {
            Self::Native => (PathBuf::from(&program), Vec::new()),
            _ => {
                let executable = self.executable()?;
                let binds = self.files_of(&executable);
                (executable, binds)
            }
        };
        let is_link = |path: &Path| fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink());
        let libraries = LIBRARIES.iter().map(PathBuf::from).filter(|path| path.is_dir() && !is_link(path));
        // On a merged system `/lib/x86…` is reached through the link, and must not be bound twice.
        binds.extend(libraries.filter(|path| !path.starts_with("/lib") || !is_link(Path::new("/lib"))));
        let links = LINKS.iter().filter_map(|link| Some((PathBuf::from(link), fs::read_link(link).ok()?))).collect();
        let mut arguments = vec![executable.display().to_string()];
        arguments.extend(self.own_arguments(spec));
        arguments.extend(spec.arguments.iter().cloned());
        match self {
            Self::Native => {}
            Self::Java => arguments.extend(["-jar".to_owned(), program]),
            _ => arguments.push(program),
        }
        let mut environment =
            vec!["LANG=C.UTF-8".to_owned(), "HOME=/package".to_owned(), "UV_USE_IO_URING=0".to_owned()];
        if let Some(folder) = executable.parent() {
            // There is no `/proc` inside, from which the dynamic linker takes this.
            environment.push(format!("LD_ORIGIN_PATH={}", folder.display()));
        }
        if self == Self::Dotnet {
            environment.push("DOTNET_EnableDiagnostics=0".to_owned());
            environment.push("DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1".to_owned());
        }
        Ok(RuntimeView { executable, arguments, environment, binds, links, program: self.file().to_owned() })
    }

    /// Files of the runtime itself, beside shared libraries.
    fn files_of(self, executable: &Path) -> Vec<PathBuf> {
        let exists = |path: &PathBuf| path.exists();
        match self {
            Self::Native => Vec::new(),
            Self::Node => vec![executable.to_owned()],
            Self::Java => {
                // …/bin/java: the home is two up. Debian keeps its configuration in /etc.
                let home = executable.parent().and_then(Path::parent).map(Path::to_owned);
                let name = home.as_ref().and_then(|home| home.file_name()).unwrap_or_default().to_string_lossy();
                let configuration =
                    name.split_once("-openjdk").map(|(version, _)| PathBuf::from(format!("/etc/{version}-openjdk")));
                home.into_iter().chain(configuration).filter(exists).collect()
            }
            Self::Python => {
                let name = executable.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let library = executable.parent().and_then(Path::parent).map(|prefix| prefix.join("lib").join(name));
                std::iter::once(executable.to_owned()).chain(library.filter(exists)).collect()
            }
            Self::Dotnet => executable.parent().map(Path::to_owned).into_iter().collect(),
            Self::Mono => {
                let more = ["/usr/lib/mono", "/etc/mono"].map(PathBuf::from);
                std::iter::once(executable.to_owned()).chain(more.into_iter().filter(exists)).collect()
            }
        }
    }
}

impl fmt::Display for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Runtime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.into_iter().find(|runtime| runtime.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("{text:?} is no runtime; there are: {names}")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_that_run_other_code_are_refused() {
        for (runtime, argument) in [
            (Runtime::Java, "-javaagent:/x.jar"),
            (Runtime::Java, "-XX:OnError=sh"),
            (Runtime::Java, "-cp"),
            (Runtime::Java, "@file"),
            (Runtime::Node, "--require=/x"),
            (Runtime::Python, "-c"),
            (Runtime::Native, "-v"),
        ] {
            let why = runtime.objection_to(argument).unwrap();
            assert!(why.contains(argument) && why.contains("begin with"), "{why}");
        }
        assert_eq!(Runtime::Java.objection_to("-Xmx64m"), None);
        assert_eq!(Runtime::Node.objection_to("--max-semi-space-size=4"), None);
    }

    #[test]
    fn a_view_names_no_file_outside_runtime_and_libraries() {
        for runtime in Runtime::ALL.into_iter().filter(|runtime| runtime.is_here()) {
            let view = runtime.view(&ProgramSpec::new(runtime)).unwrap();
            for bind in &view.binds {
                let text = bind.display().to_string();
                assert!(bind.is_absolute() && bind.exists(), "{runtime}: {text}");
                assert!(!["/", "/etc", "/usr", "/home", "/root", "/var"].contains(&text.as_str()), "{runtime}: {text}");
            }
            assert!(!view.arguments.is_empty());
        }
    }
}
