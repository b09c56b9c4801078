//! Programs of their own: what they may say, what they may reach, and what becomes of those that misbehave.
//!
//! The guests are Python, which every machine with this tree's setup has; Java and Node echo where they are installed.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{
    Configured, Container, ContainerFault, GuestCode, GuestRefusal, InsecureInProcess, IsolationProvider,
    ProcessProvider, ProgramSpec, Runtime, Silent,
};
use cryptlet_primitives::{FabricAnswer, ResultStatus};
use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use support::*;

/// A Python program around the body of `handle(call)`, which returns a frame's first byte and the rest.
fn python(body: &str) -> GuestCode {
    let body = body.replace('\n', "\n    ");
    let text = format!(
        r#"
import os, struct, sys, time
def read(count):
    data = b""
    while len(data) < count:
        more = os.read(0, count - len(data))
        if not more: os._exit(0)
        data += more
    return data
def frame(): return read(struct.unpack(">I", read(4))[0])
def send(kind, data):
    data = struct.pack(">IB", len(data) + 1, kind) + data
    while data: data = data[os.write(1, data):]
def log(text): send(0x84, text.encode())
def handle(caller, cryptlet, key, flags, at, units, room, seed, data):
    {body}
hello = frame()
assert hello[:3] == b"\x01\x00\x01", hello
send(0x81, b"\x00\x01")
while True:
    call = frame()
    fixed = struct.unpack(">20s32s32sBQQI32s", call[1:138])
    send(*handle(*fixed, call[138:]))
"#
    );
    GuestCode::Process { program: text.into_bytes().into(), spec: spec() }
}

fn spec() -> ProgramSpec {
    ProgramSpec { memory_bytes_max: 256 << 20, call_ms_max: 2_000, ..ProgramSpec::new(Runtime::Python) }
}

fn with(code: GuestCode, change: impl FnOnce(&mut ProgramSpec)) -> GuestCode {
    let GuestCode::Process { program, mut spec } = code else { panic!("not a program") };
    change(&mut spec);
    GuestCode::Process { program, spec }
}

fn run(provider: &dyn IsolationProvider, code: GuestCode) -> Container {
    let measured = Configured::new(code).measure(provider).unwrap();
    measured.start(provider, &instance_terms(measured.code()), Arc::new(Silent)).unwrap()
}

fn ask(container: &Container, input: &[u8]) -> Result<FabricAnswer, ContainerFault> {
    container.call(&invocation(container, input), &TERMS)
}

const ECHO: &str = "return 0x82, data";

#[test]
fn a_program_answers_and_its_answer_is_signed() {
    let provider = provider(1);
    let container = run(&provider, python(ECHO));
    for round in 0..20 {
        let answer = ask(&container, &[round; 100]).unwrap();
        assert_eq!((&answer.output[..], answer.result.status), (&[round; 100][..], ResultStatus::Ok as u8));
        assert_eq!(answer.result.units, 1_000, "every call has one price");
    }
    let failing = run(&provider, python("return 0x83, b'why not'"));
    let answer = ask(&failing, b"").unwrap();
    assert_eq!((&answer.output[..], answer.result.status), (&b"why not"[..], ResultStatus::Error as u8));
}

#[test]
fn a_call_says_what_a_component_is_told_too() {
    let provider = provider(1);
    let told = run(
        &provider,
        python("return 0x82, caller + cryptlet + key + struct.pack('>BQQI', flags, at, units, room) + seed"),
    );
    let mut invocation = invocation(&told, b"input");
    invocation.is_static = true;
    let answer = told.call(&invocation, &TERMS).unwrap().output;
    let request = &invocation.request;
    let expected = [request.caller.as_slice(), request.cryptletId.as_slice(), request.key.as_slice(), &[1]].concat();
    assert_eq!(answer[..85], expected[..]);
    assert_eq!(answer[85..93], TERMS.observed_at_s.to_be_bytes());
    assert_eq!(answer[93..101], 100_000u64.to_be_bytes());
    assert_eq!(answer[101..105], 4096u32.to_be_bytes());
    assert_eq!(answer[105..], told.call(&invocation, &TERMS).unwrap().output[105..], "the same seed for the same call");
}

#[test]
fn every_runtime_of_this_machine_that_has_an_echo_echoes() {
    let node = r#"
import fs from "node:fs";
const read = (count) => { const b = Buffer.alloc(count); let at = 0;
  while (at < count) { const n = fs.readSync(0, b, at, count - at); if (!n) process.exit(0); at += n; } return b; };
const frame = () => read(read(4).readUInt32BE());
const send = (kind, data) => { const h = Buffer.alloc(5); h.writeUInt32BE(data.length + 1); h[4] = kind;
  let b = Buffer.concat([h, data]); while (b.length) b = b.subarray(fs.writeSync(1, b)); };
frame(); send(0x81, Buffer.from([0, 1]));
for (;;) send(0x82, frame().subarray(138));
"#;
    let provider = provider(1);
    let java = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/hello-java/program.jar"));
    let programs = [(Runtime::Node, Some(node.as_bytes().to_vec())), (Runtime::Java, java.ok())];
    for (runtime, program) in programs {
        let (true, Some(program)) = (runtime.is_here(), program) else {
            eprintln!("SKIPPED {runtime}: not on this machine");
            continue;
        };
        let container = run(&provider, GuestCode::Process { program: program.into(), spec: ProgramSpec::new(runtime) });
        let answer = ask(&container, b"hello").unwrap();
        match runtime {
            // The example in Java answers only to its own functions, with `Error(string)`.
            Runtime::Java => assert_eq!(answer.output[..4], [0x08, 0xc3, 0x79, 0xa0]),
            _ => assert_eq!(&answer.output[..], b"hello", "{runtime}"),
        }
    }
}

#[test]
fn nothing_of_the_machine_is_within_reach() {
    let body = r#"
import ctypes, errno, socket, threading
libc = ctypes.CDLL(None, use_errno=True)
found = []
def fails(name, attempt):
    try: attempt()
    except (OSError, ValueError): return
    found.append(name)
def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1: raise OSError(ctypes.get_errno(), "")
for path in ["/", "/etc/passwd", "/etc/shadow", "/proc/self/maps", "/dev/null", "/root", "/tmp", "/home", "/sys", "/var", "/run"]:
    fails("read " + path, lambda: open(path, "rb"))
    fails("list " + path, lambda: os.listdir(path))
for path in ["/new", "/package/new", "/package/program.py", "/usr/lib/new"]:
    fails("write " + path, lambda: open(path, "ab"))
for family in [socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK]:
    fails("socket %d" % family, lambda: socket.socket(family, socket.SOCK_STREAM))
fails("socketpair", lambda: socket.socketpair())
fails("fork", os.fork)
fails("spawn", lambda: os.posix_spawn("/package/program.py", ["x"], {}))
fails("kill", lambda: os.kill(1, 9))
fails("setuid", lambda: os.setuid(0))
fails("mkdir", lambda: os.mkdir("/x"))
fails("memfd", lambda: os.memfd_create("x"))
fails("nice", lambda: os.nice(-1))
fails("limit", lambda: __import__("resource").setrlimit(__import__("resource").RLIMIT_NOFILE, (4096, 4096)))
for number in [41, 57, 58, 160, 165 + 5, 319]: # socket, fork, vfork, setrlimit, sethostname, memfd_create
    fails("call %d" % number, lambda: call(number, 0, 0, 0))
done = []
threads = [threading.Thread(target=lambda: done.append(1)) for _ in range(4)]
[thread.start() for thread in threads]; [thread.join() for thread in threads]
return 0x82, repr((found, len(done))).encode()"#;
    let provider = provider(1);
    let answer = ask(&run(&provider, python(body)), b"").unwrap();
    let text = String::from_utf8_lossy(&answer.output).into_owned();
    assert_eq!(text, "([], 4)", "reached from inside; threads that ran");
}

#[test]
fn what_only_an_attacker_calls_ends_the_program_and_the_next_call_finds_another() {
    // mount, ptrace, unshare, execve, bpf, keyctl: numbers of x86-64, the only architecture this test names.
    if !cfg!(target_arch = "x86_64") {
        eprintln!("SKIPPED hostile system calls: their numbers are those of x86-64");
        return;
    }
    let provider = provider(1);
    let container = run(
        &provider,
        python(
            "import ctypes\nctypes.CDLL(None).syscall(int.from_bytes(data, 'big'), 0, 0, 0, 0, 0)\nreturn 0x82, b'still here'",
        ),
    );
    for number in [165u16, 101, 272, 59, 321, 250] {
        let fault = ask(&container, &number.to_be_bytes()).unwrap_err();
        assert!(matches!(fault, ContainerFault::ProcessLost { role: "program", .. }), "{number}: {fault}");
        assert_eq!(
            &ask(&container, &39u16.to_be_bytes()).unwrap().output[..],
            b"still here",
            "after {number}: getpid is allowed"
        );
    }
}

#[test]
fn a_program_that_dies_says_why_and_is_replaced() {
    let provider = provider(1);
    let container = run(
        &provider,
        python(
            "if data == b'die': raise ValueError('a bad day')\nif data == b'kill': os.abort()\nif data == b'exit': os._exit(3)\n\
         return 0x82, data",
        ),
    );
    for (input, expected) in [(&b"die"[..], "a bad day"), (b"exit", "3"), (b"kill", "signal")] {
        let fault = ask(&container, input).unwrap_err();
        assert!(matches!(fault, ContainerFault::ProcessLost { role: "program", .. }), "{fault}");
        assert!(fault.to_string().contains(expected), "{fault}");
        assert_eq!(&ask(&container, b"again").unwrap().output[..], b"again");
    }
}

#[test]
fn a_call_over_its_time_is_killed_and_the_next_one_answered() {
    let provider = provider(1);
    let container = run(
        &provider,
        with(python("if data == b'loop':\n    while True: pass\nreturn 0x82, data"), |spec| {
            spec.call_ms_max = 300;
        }),
    );
    let since = Instant::now();
    let fault = ask(&container, b"loop").unwrap_err();
    assert!(matches!(fault, ContainerFault::DeadlineExceeded { limit_ms: 300 }), "{fault}");
    assert!(since.elapsed() < Duration::from_secs(2), "{:?}", since.elapsed());
    assert_eq!(&ask(&container, b"again").unwrap().output[..], b"again");
}

#[test]
fn lies_about_frames_end_in_a_typed_fault_and_a_new_process() {
    let provider = provider(1);
    let container = run(
        &provider,
        with(
            python(
                "lies = {\n\
         b'long': b'\\xff\\xff\\xff\\xff\\x82', b'empty': b'\\0\\0\\0\\0', b'kind': b'\\0\\0\\0\\1\\x02', b'twice': b'\\0\\0\\0\\3\\x81\\0\\1',\n\
         b'text': b'\\0\\0\\0\\3\\x84\\xff\\xfe', b'short': b'\\0\\0\\0\\x20\\x82abc', b'huge': b'\\0\\x80\\0\\2\\x82' + bytes(9 << 20)}\n\
         if data in lies: os.write(1, lies[data]); time.sleep(9)\n\
         if data == b'flood':\n    while True: log('x' * 100)\n\
         if data == b'extra': send(0x82, b'one')\n\
         return 0x82, data",
            ),
            |spec| spec.call_ms_max = 500,
        ),
    );
    for lie in ["long", "empty", "kind", "twice", "text", "huge", "flood"] {
        let fault = ask(&container, lie.as_bytes()).unwrap_err();
        assert!(matches!(fault, ContainerFault::Misbehaved { role: "program", .. }), "{lie}: {fault}");
        assert_eq!(&ask(&container, b"honest").unwrap().output[..], b"honest", "after {lie}");
    }
    let fault = ask(&container, b"short").unwrap_err();
    assert!(matches!(fault, ContainerFault::DeadlineExceeded { .. }), "{fault}");
    // What it says beyond its answer can never be taken for the answer to another call.
    assert_eq!(&ask(&container, b"extra").unwrap().output[..], b"one");
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(&ask(&container, b"honest").unwrap().output[..], b"honest");
}

#[test]
fn bounds_of_a_call_hold_for_programs_too() {
    let provider = provider(1);
    let container = run(&provider, python("return 0x82, bytes(int.from_bytes(data, 'big'))"));
    let answer = ask(&container, &4097u16.to_be_bytes()).unwrap();
    assert_eq!(trap_of(&answer), "output too long: 4096 bytes were paid for");
    assert_eq!(ask(&container, &4096u16.to_be_bytes()).unwrap().output.len(), 4096);

    let mut poor = invocation(&container, &[1]);
    poor.units_max = 999;
    let answer = container.call(&poor, &TERMS).unwrap();
    assert_eq!((trap_of(&answer).as_str(), answer.result.units), ("out of compute units", 999));

    let count = run(&provider, python("return 0x82, len(data).to_bytes(4, 'big')"));
    let huge = vec![7; 8 << 20];
    assert_eq!(ask(&count, &huge).unwrap().output[..], (8u32 << 20).to_be_bytes());
    let fault = ask(&count, &[&huge[..], b"x"].concat()).unwrap_err();
    assert!(matches!(fault, ContainerFault::BadInvocation(_)), "{fault}");
}

#[test]
fn memory_and_threads_are_bounded() {
    let provider = provider(1);
    let container = run(
        &provider,
        python(
            "import threading\n\
         if data == b'memory':\n    try: return 0x82, b'got %d' % len(bytes(1 << 30))\n    except MemoryError: return 0x83, b'no memory'\n\
         threading.stack_size(65536)\nmade = 0\n\
         try:\n    while made < 5000: threading.Thread(target=time.sleep, args=(60,), daemon=True).start(); made += 1\n\
         except RuntimeError: pass\nreturn 0x82, made.to_bytes(4, 'big')",
        ),
    );
    assert_eq!(&ask(&container, b"memory").unwrap().output[..], b"no memory");
    let made = u32::from_be_bytes(ask(&container, b"threads").unwrap().output[..].try_into().unwrap());
    assert!((1..256).contains(&made), "{made} threads");
}

#[test]
fn what_does_not_start_is_refused_with_its_last_words() {
    let provider = provider(1);
    let code = |text: &'static str| GuestCode::Process { program: text.as_bytes().into(), spec: spec() };
    let slow = with(code("import time; time.sleep(60)"), |spec| spec.start_ms_max = 300);
    let native = with(code("not an executable"), |spec| spec.runtime = Runtime::Native);
    for (code, expected) in [
        (code("this is no python"), "SyntaxError"),
        (code("print('hello')"), "should not"),
        (slow, "not ready within 300 ms"),
        (native, "could not be executed"),
        (with(python(ECHO), |spec| spec.arguments.push("-c".into())), "-c"),
        (with(python(ECHO), |spec| spec.memory_bytes_max = 1), "memoryBytesMax"),
    ] {
        let fault = Configured::new(code).measure(&provider).unwrap_err();
        assert!(
            matches!(fault, ContainerFault::Guest(GuestRefusal::CannotStart(_) | GuestRefusal::BadSpec(_))),
            "{fault}"
        );
        assert!(fault.to_string().contains(expected) || expected == "should not", "{fault}");
    }
    let nowhere = InsecureInProcess::insecure_new().unwrap();
    let fault = Configured::new(python(ECHO)).measure(&nowhere).unwrap_err();
    assert!(fault.to_string().contains("`none` runs no containers of kind `process`"), "{fault}");
}

#[test]
fn calls_run_side_by_side_up_to_the_number_of_processes() {
    let provider = provider(1);
    let container = run(&provider, with(python("time.sleep(0.3)\nreturn 0x82, data"), |spec| spec.processes_max = 4));
    let since = Instant::now();
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..4u8)
            .map(|round| {
                scope.spawn({
                    let container = &container;
                    move || ask(container, &[round])
                })
            })
            .collect();
        for (round, call) in calls.into_iter().enumerate() {
            assert_eq!(call.join().unwrap().unwrap().output[..], [round as u8]);
        }
    });
    assert!(since.elapsed() < Duration::from_millis(1_100), "{:?}", since.elapsed());
}

#[test]
fn a_provider_runs_no_more_programs_than_it_was_told() {
    let mut config = config(1);
    config.programs_max = 1;
    let provider = ProcessProvider::start(config).unwrap();
    let first = run(&provider, python(ECHO));
    let fault = Configured::new(python("return 0x82, b'other'")).measure(&provider).unwrap_err();
    assert!(matches!(fault, ContainerFault::TooManyPrograms { most: 1 }), "{fault}");
    drop(first);
    run(&provider, python(ECHO));
}

#[test]
fn log_lines_reach_the_host_in_order() {
    struct Lines(Mutex<Vec<String>>);
    impl cryptlet_container::CallOut for Lines {
        fn log(&self, _: alloy_primitives::B256, message: &str) {
            self.0.lock().unwrap().push(message.to_owned());
        }
    }
    let provider = provider(1);
    let lines = Arc::new(Lines(Mutex::default()));
    let measured = Configured::new(python("log('one')\nlog('two')\nreturn 0x82, b''")).measure(&provider).unwrap();
    let out = Arc::clone(&lines) as Arc<dyn cryptlet_container::CallOut>;
    let container = measured.start(&provider, &instance_terms(measured.code()), out).unwrap();
    ask(&container, b"").unwrap();
    assert_eq!(*lines.0.lock().unwrap(), ["one", "two"]);
}
