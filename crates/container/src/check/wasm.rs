//! Components: what they import, and which instructions they are made of.

use super::Report;
use crate::engine;
use wasmparser::{ComponentTypeRef, KnownCustom, MemoryType, Operator, Parser, Payload, TableType, TypeRef};

const PAGE_BYTES: u64 = 65_536;

/// Proposals whose instructions the engine profile takes.
const ACCEPTED: [&str; 8] = [
    "mvp",
    "sign_extension",
    "saturating_float_to_int",
    "bulk_memory",
    "reference_types",
    "simd",
    "tail_call",
    "function_references",
];

/// Name and proposal of an instruction.
macro_rules! describe_operators {
    ($( @$proposal:ident $op:ident $({ $($arg:ident: $argty:ty),* })? => $visit:ident ($($ann:tt)*) )*) => {
        fn describe(operator: &Operator<'_>) -> (&'static str, &'static str) {
            match operator {
                $( Operator::$op { .. } => (stringify!($op), stringify!($proposal)), )*
                _ => ("an instruction this build does not know", "unknown"),
            }
        }
    };
}
wasmparser::for_each_operator!(describe_operators);

pub(super) fn check(component: &[u8], report: &mut Report) {
    let mut seen = Seen::default();
    for payload in Parser::new(0).parse_all(component) {
        let outcome = payload.and_then(|payload| seen.read(payload, report));
        if let Err(error) = outcome {
            let place = format!("offset {:#x}", error.offset());
            let advice = "build it again; `wasm-tools validate` says more";
            return report.refuse("malformed", &place, error.message().to_owned(), advice);
        }
    }
    if !seen.is_component {
        let advice = "link with `wasm-component-ld` (scripts/build-cryptlet does), or use `wasm-tools component new`";
        report.refuse("not-a-component", "the code", "this is a core module, not a component".to_owned(), advice);
    } else if !seen.exports_handle {
        let what = "it does not export `handle`".to_owned();
        report.refuse("wrong-world", "the component's exports", what, "export `handle` as wit/cryptlet.wit has it");
    }
    if seen.memories > engine::MEMORIES_MAX as usize {
        let what = format!("it has {} memories; {} is accepted", seen.memories, engine::MEMORIES_MAX);
        report.refuse("memories", "its core modules", what, "link everything into one core module");
    }
    if seen.floats > 0 {
        let what = format!("it computes with floating point in {} places", seen.floats);
        let advice = "fine: every NaN is made canonical, and rounding is that of IEEE 754";
        report.note("floating-point", "its core modules", what, advice);
    }
}

/// What the `producers` sections say; at most a few dozen entries, each once.
pub(super) fn producers(component: &[u8]) -> Vec<(String, String, String)> {
    const ENTRIES_MAX: usize = 64;
    let mut found = std::collections::BTreeSet::new();
    // What cannot be read is refused elsewhere; here it only ends the list.
    for payload in Parser::new(0).parse_all(component).map_while(Result::ok) {
        let Payload::CustomSection(section) = payload else { continue };
        let KnownCustom::Producers(fields) = section.as_known() else { continue };
        for field in fields.into_iter().map_while(Result::ok) {
            for value in field.values.into_iter().map_while(Result::ok) {
                if found.len() < ENTRIES_MAX {
                    found.insert((field.name.to_owned(), value.name.to_owned(), value.version.to_owned()));
                }
            }
        }
    }
    found.into_iter().collect()
}

#[derive(Default)]
struct Seen {
    is_component: bool,
    exports_handle: bool,
    /// Nested components and modules we are in; exports of the outermost count.
    depth: usize,
    modules: usize,
    functions: usize,
    memories: usize,
    floats: usize,
}

impl Seen {
    fn read(&mut self, payload: Payload<'_>, report: &mut Report) -> wasmparser::Result<()> {
        match payload {
            Payload::Version { encoding, .. } if self.depth == 0 && self.modules == 0 => {
                self.is_component = encoding == wasmparser::Encoding::Component;
            }
            Payload::ModuleSection { .. } => {
                (self.depth, self.modules, self.functions) = (self.depth + 1, self.modules + 1, 0);
            }
            Payload::ComponentSection { .. } => self.depth += 1,
            Payload::End(_) => self.depth = self.depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if self.depth == 0 => {
                for import in imports {
                    let import = import?;
                    let is_type = matches!(import.ty, ComponentTypeRef::Type(..));
                    if import.name.name != engine::HOST_INTERFACE && !is_type {
                        foreign(import.name.name, report);
                    }
                }
            }
            Payload::ComponentExportSection(exports) if self.depth == 0 => {
                for export in exports {
                    self.exports_handle |= export?.name.name == "handle";
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    self.read_core_import(import?.ty, report);
                }
            }
            Payload::MemorySection(memories) => {
                for memory in memories {
                    self.memories += 1;
                    self.read_memory(memory?, report);
                }
            }
            Payload::TableSection(tables) => {
                for table in tables {
                    self.read_table(table?.ty, report);
                }
            }
            Payload::CodeSectionEntry(body) => self.read_function(&body, report)?,
            _ => {}
        }
        Ok(())
    }

    fn read_core_import(&self, ty: TypeRef, report: &mut Report) {
        match ty {
            TypeRef::Memory(memory) if memory.shared => self.shared_memory(report),
            TypeRef::Func(_) | TypeRef::Memory(_) | TypeRef::Table(_) | TypeRef::Global(_) => {}
            _ => {
                let what = "it imports something that is no function, memory, table or global".to_owned();
                report.refuse("forbidden-proposal", &self.module(), what, "build for plain WebAssembly 2.0");
            }
        }
    }

    fn read_memory(&self, memory: MemoryType, report: &mut Report) {
        if memory.shared {
            self.shared_memory(report);
        }
        if memory.memory64 || memory.page_size_log2.is_some() {
            let what = "it has a memory with addresses of 64 bits or pages of its own size".to_owned();
            report.refuse("forbidden-proposal", &self.module(), what, "build for wasm32");
        }
        let bytes = memory.initial.saturating_mul(PAGE_BYTES);
        if bytes > engine::MEMORY_BYTES_MAX as u64 {
            let what = format!("its memory begins with {bytes} bytes; at most {} are given", engine::MEMORY_BYTES_MAX);
            report.refuse("memory", &self.module(), what, "lower the initial memory, or the stack the linker reserves");
        }
    }

    fn shared_memory(&self, report: &mut Report) {
        let what = "it shares a memory between threads".to_owned();
        report.refuse("threads", &self.module(), what, "build without threads: their order is nobody's to repeat");
    }

    fn read_table(&self, table: TableType, report: &mut Report) {
        let most = engine::TABLE_ELEMENTS_MAX as u64;
        if table.initial > most {
            let what = format!("its table begins with {} elements; at most {most} are given", table.initial);
            report.refuse("table", &self.module(), what, "make fewer functions reachable by pointer");
        } else if table.maximum.is_none_or(|maximum| maximum > most) {
            let what = format!("its table may grow without bound; the host stops it at {most} elements");
            report.note("unbounded-table", &self.module(), what, "fine unless it counts on more");
        }
    }

    fn read_function(&mut self, body: &wasmparser::FunctionBody<'_>, report: &mut Report) -> wasmparser::Result<()> {
        self.functions += 1;
        let mut operators = body.get_operators_reader()?;
        while !operators.eof() {
            let (operator, offset) = operators.read_with_offset()?;
            let (name, proposal) = describe(&operator);
            self.floats += usize::from(name.starts_with("F32") || name.starts_with("F64"));
            if ACCEPTED.contains(&proposal) {
                continue;
            }
            let place = format!("{}, function {} of its own, offset {offset:#x}", self.module(), self.functions - 1);
            let what = format!("{name} belongs to the proposal `{proposal}`");
            let (rule, advice) = match proposal {
                "threads" | "shared_everything_threads" => {
                    ("threads", "build without threads: their order is nobody's to repeat")
                }
                "relaxed_simd" => (
                    "relaxed-simd",
                    "build without relaxed SIMD: its results differ between processors; plain SIMD is fine",
                ),
                _ => ("forbidden-proposal", "build for plain WebAssembly 2.0"),
            };
            report.refuse(rule, &place, what, advice);
        }
        Ok(())
    }

    fn module(&self) -> String {
        format!("core module {}", self.modules.saturating_sub(1))
    }
}

fn foreign(name: &str, report: &mut Report) {
    let advice = if name.starts_with("wasi:") {
        "there is no WASI: build for wasm32-unknown-unknown (scripts/build-cryptlet does), or stub it"
    } else {
        "the only door is cryptlet:fabric/host@1.0.0"
    };
    report.refuse("foreign-import", "the component's imports", format!("it imports `{name}`"), advice);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Severity;

    fn rules(text: &str) -> Vec<&'static str> {
        let code = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
        let findings = Report::of(&code.into(), true).findings;
        findings.iter().filter(|finding| finding.severity == Severity::Refusal).map(|finding| finding.rule).collect()
    }

    fn of_module(items: &str) -> Vec<&'static str> {
        let mut rules = rules(&format!("(component (core module {items}))"));
        rules.retain(|rule| *rule != "wrong-world");
        rules
    }

    #[test]
    fn what_makes_a_call_depend_on_more_than_its_inputs_is_found() {
        for (items, expected) in [
            ("(memory 1 1 shared)", "threads"),
            ("(memory 1 1) (func (drop (i32.atomic.load (i32.const 0))))", "threads"),
            (
                "(func (drop (f32x4.relaxed_madd (v128.const i64x2 0 0) (v128.const i64x2 0 0) (v128.const i64x2 0 0))))",
                "relaxed-simd",
            ),
            ("(memory i64 1)", "forbidden-proposal"),
            ("(memory 4096)", "memory"),
            ("(table 100001 funcref)", "table"),
            ("(tag) (func (throw 0))", "forbidden-proposal"),
        ] {
            assert_eq!(of_module(items), [expected], "{items}");
        }
        assert_eq!(rules("(component (core module (memory 1)) (core module (memory 1)))"), ["wrong-world", "memories"]);
        assert!(of_module("(memory 1) (table 10 funcref) (func (drop (f32.sqrt (f32.const 2))))").is_empty());
    }

    #[test]
    fn doors_that_are_not_there_are_named() {
        assert_eq!(rules("(module)"), ["not-a-component"]);
        assert_eq!(
            rules(r#"(component (import "wasi:clocks/wall-clock@0.2.0" (instance)))"#),
            ["foreign-import", "wrong-world"]
        );
    }

    #[test]
    fn a_flood_of_findings_is_cut_short() {
        let body = "(drop (i32.atomic.load (i32.const 0)))".repeat(500);
        assert_eq!(of_module(&format!("(memory 1 1) (func {body})")).len(), super::super::ALIKE_MAX + 1);
    }

    #[test]
    fn the_examples_are_accepted() {
        for example in ["equity-tools", "monte-carlo", "credit-default-swap", "hello-c"] {
            let file = format!("{}/../../examples/{example}/cryptlet.wasm", env!("CARGO_MANIFEST_DIR"));
            let report = Report::of(&std::fs::read(file).unwrap().into(), true);
            assert!(report.is_accepted(), "{example}: {:?}", report.findings);
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let good = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello-c/cryptlet.wasm")).unwrap();
        for position in (0..good.len()).step_by(3) {
            let mut bad = good.clone();
            bad[position] ^= 0x55;
            Report::of(&bad.into(), true);
            Report::of(&good[..position].to_vec().into(), true);
        }
    }
}
