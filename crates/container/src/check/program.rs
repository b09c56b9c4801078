//! Programs: are they what their runtime takes, and how are they started?

use super::Report;
use crate::program::{ProgramSpec, Runtime};

const ZIP: &[u8] = b"PK\x03\x04";
const ELF: &[u8] = b"\x7fELF";
const PORTABLE_EXECUTABLE: &[u8] = b"MZ";
/// Class files of Java 17 have this major version; newer ones need a newer virtual machine.
const JAVA_17: u16 = 61;

pub(super) fn check(program: &[u8], spec: &ProgramSpec, report: &mut Report) {
    for objection in spec.objections() {
        report.refuse("start", "config.json, config.process", objection, "see docs/writing-cryptlets.md");
    }
    let begins = |magic: &[u8]| program.starts_with(magic);
    let is_text = std::str::from_utf8(program).is_ok();
    let (fits, expected) = match spec.runtime {
        Runtime::Java => (begins(ZIP), "a jar (a zip file) whose manifest names its Main-Class"),
        Runtime::Native => (begins(ELF), "an ELF executable"),
        Runtime::Dotnet | Runtime::Mono => (begins(PORTABLE_EXECUTABLE), "an assembly (a PE file)"),
        Runtime::Node => (is_text, "an ECMAScript module in UTF-8"),
        Runtime::Python => (is_text || begins(ZIP), "a script in UTF-8, or a zip application"),
    };
    if !fits {
        let what = format!("this is not what {} runs", spec.runtime);
        report.refuse("not-a-program", "the code", what, &format!("it should be {expected}"));
    }
    if spec.runtime == Runtime::Java && fits {
        check_jar(program, report);
    }
    if let Some(heap) = spec.arguments.iter().rev().find_map(|argument| heap_bytes(argument))
        && heap > spec.memory_bytes_max
    {
        let what = format!("the heap may grow to {heap} bytes, the process only to {}", spec.memory_bytes_max);
        report.warn("heap-beyond-memory", "config.process.arguments", what, "lower -Xmx, or raise memoryBytesMax");
    }
    report.note(
        "not-deterministic",
        "the code",
        "a program of its own sees clocks, threads and addresses".to_owned(),
        "its answers are recorded and replayed, but nobody can recompute them; logic that all parties should repeat belongs in a \
         component",
    );
}

/// `-Xmx` in bytes.
fn heap_bytes(argument: &str) -> Option<u64> {
    let text = argument.strip_prefix("-Xmx")?;
    let digits = text.trim_end_matches(|unit: char| unit.is_ascii_alphabetic());
    let unit = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_shl(unit)
}

/// Looks at what a jar holds as it is; what is compressed is the virtual machine's to judge.
fn check_jar(jar: &[u8], report: &mut Report) {
    let names = local_files(jar);
    if !names.iter().any(|(name, _)| *name == b"META-INF/MANIFEST.MF") {
        let what = "it has no META-INF/MANIFEST.MF".to_owned();
        report.refuse("no-main-class", "the jar", what, "make it with `jar --create --main-class NAME`");
    }
    for (name, contents) in &names {
        let place = String::from_utf8_lossy(name);
        if name.ends_with(b".so") || name.ends_with(b".dll") {
            let what = "it holds a native library".to_owned();
            report.warn(
                "native-library",
                &place,
                what,
                "nothing can be written to disk, so it cannot be unpacked and loaded",
            );
        }
        if let Some([0xca, 0xfe, 0xba, 0xbe, _, _, major @ ..]) = contents.get(..8) {
            let major = u16::from_be_bytes([major[0], major[1]]);
            if major > JAVA_17 {
                let what = format!("compiled for Java {}; hosts have Java 17 or later", major - 44);
                report.warn("newer-class-file", &place, what, "compile with `javac --release 17`");
            }
        }
    }
}

/// Names of the files of an archive, as their local headers have them, and the contents of those that are not compressed.
fn local_files(archive: &[u8]) -> Vec<(&[u8], &[u8])> {
    const HEADER_BYTES: usize = 30;
    const FILES_MAX: usize = 100_000;
    let mut files = Vec::new();
    let mut rest = archive;
    while files.len() < FILES_MAX && rest.starts_with(ZIP) && rest.len() >= HEADER_BYTES {
        let number = |at: usize| usize::from(u16::from_le_bytes([rest[at], rest[at + 1]]));
        let long = |at: usize| u32::from_le_bytes([rest[at], rest[at + 1], rest[at + 2], rest[at + 3]]) as usize;
        let (flags, method, packed) = (number(6), number(8), long(18));
        let (name_bytes, extra_bytes) = (number(26), number(28));
        let Some(name) = rest.get(HEADER_BYTES..HEADER_BYTES + name_bytes) else { break };
        let start = HEADER_BYTES + name_bytes + extra_bytes;
        let Some(contents) = rest.get(start..).and_then(|after| after.get(..packed)) else { break };
        files.push((name, if method == 0 { contents } else { &[] }));
        if flags & 8 != 0 && packed == 0 {
            // Its length stands behind it: the next header has to be looked for.
            let next = rest[start..].windows(ZIP.len()).position(|window| window == ZIP);
            let Some(next) = next else { break };
            rest = &rest[start + next..];
        } else {
            rest = &rest[start + packed..];
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check::Severity, code::GuestCode};

    fn rules(program: &[u8], runtime: Runtime, arguments: &[&str]) -> Vec<&'static str> {
        let mut spec = ProgramSpec::new(runtime);
        spec.arguments = arguments.iter().map(ToString::to_string).collect();
        let code = GuestCode::Process { program: program.to_vec().into(), spec };
        let findings = Report::of(&code, false).findings;
        findings.iter().filter(|finding| finding.severity > Severity::Note).map(|finding| finding.rule).collect()
    }

    fn jar(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut jar = Vec::new();
        for (name, contents) in files {
            jar.extend_from_slice(ZIP);
            jar.extend_from_slice(&[0; 14]);
            jar.extend_from_slice(&(contents.len() as u32).to_le_bytes());
            jar.extend_from_slice(&(contents.len() as u32).to_le_bytes());
            jar.extend_from_slice(&(name.len() as u16).to_le_bytes());
            jar.extend_from_slice(&[0; 2]);
            jar.extend_from_slice(name.as_bytes());
            jar.extend_from_slice(contents);
        }
        jar
    }

    #[test]
    fn what_a_runtime_does_not_take_is_refused() {
        for runtime in [Runtime::Java, Runtime::Native, Runtime::Dotnet, Runtime::Node] {
            assert_eq!(rules(b"\xff\xfe", runtime, &[]), ["not-a-program"], "{runtime}");
        }
        assert!(rules(b"export {}", Runtime::Node, &[]).is_empty());
    }

    #[test]
    fn a_jar_is_looked_into() {
        let manifest: (&str, &[u8]) = ("META-INF/MANIFEST.MF", b"Main-Class: A");
        assert!(rules(&jar(&[manifest, ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x3d")]), Runtime::Java, &[]).is_empty());
        assert_eq!(rules(&jar(&[("A.class", b"")]), Runtime::Java, &[]), ["no-main-class"]);
        let newer = jar(&[manifest, ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x45"), ("x.so", b"")]);
        assert_eq!(
            rules(&newer, Runtime::Java, &["-Xmx8g"]),
            ["newer-class-file", "native-library", "heap-beyond-memory"]
        );
    }

    #[test]
    fn no_archive_however_broken_is_read_beyond_its_end() {
        let whole = jar(&[("META-INF/MANIFEST.MF", b"x"), ("A.class", b"\xca\xfe\xba\xbe\0\0\0\x45")]);
        for end in 0..whole.len() {
            local_files(&whole[..end]);
            let mut bad = whole.clone();
            bad[end] ^= 0xff;
            local_files(&bad);
        }
    }
}
