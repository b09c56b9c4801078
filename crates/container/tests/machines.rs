//! Isolation `vm`: what holds for it and for no other. What it has in common with the others is in `conformance.rs`, `kinds.rs`,
//! `hostile.rs` and `generated.rs`.
#![allow(missing_docs, clippy::unwrap_used)]

mod support;

use cryptlet_container::{
    Configured, ContainerFault, GuestCode, InsecureInProcess, Isolation, IsolationProvider, Kind, ProgramSpec,
    Protection, Runtime, SandboxPolicy, Silent, VmProvider, engine,
};
use cryptlet_primitives::UnavailableReason;
use std::{path::Path, sync::Arc};
use support::*;

#[test]
fn the_provider_says_vm_and_has_tried_the_walls_from_inside() {
    let Some(provider) = vm_provider(1) else { return };
    assert_eq!((provider.isolation(), provider.isolation() as u8), (Isolation::Vm, 2));
    let stack = provider.stack();
    assert!(stack.worker_sandbox.in_force.contains(&Protection::VirtualMachine), "{:?}", stack.worker_sandbox);
    for protection in Protection::INDISPENSABLE {
        assert!(stack.worker_sandbox.in_force.contains(&protection), "{protection}");
    }
    assert!(!stack.signer_sandbox.in_force.contains(&Protection::VirtualMachine), "signers run no guests");
    assert!(SandboxPolicy::strict().objections(&stack.signer_sandbox).len() <= stack.signer_sandbox.missing.len());
}

#[test]
fn the_measurement_binds_how_a_machine_begins() {
    let Some(provider) = vm_provider(1) else { return };
    let good = provider.stack().clone();
    assert!(good.launch.is_some());
    assert_eq!(vm_provider(1).unwrap().stack().measurement(), good.measurement(), "the same every time");
    let mut other = good.clone();
    other.launch.as_mut().unwrap().0[0] ^= 1;
    let mut without = good.clone();
    without.launch = None;
    let mut elsewhere = good.clone();
    elsewhere.isolation = Isolation::Process;
    for bad in [other, without, elsewhere] {
        assert_ne!(bad.measurement(), good.measurement());
    }
}

#[test]
fn another_program_in_the_machine_is_another_measurement_and_a_broken_one_none() {
    let Some(provider) = vm_provider(1) else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut command = worker();
    let program = folder.path().join("cryptlet-worker");
    std::fs::copy(&command.program, &program).unwrap();
    let image = std::fs::read(VmProvider::image_beside(&command.program)).unwrap();
    command.program = program;
    let start = |image: &[u8]| {
        std::fs::write(folder.path().join("cryptlet-vm-guest"), image).unwrap();
        let mut config = config(1);
        config.command = command.clone();
        VmProvider::start(config)
    };
    assert_eq!(start(&image).unwrap().stack().measurement(), provider.stack().measurement());

    // A constant of the program that no wall depends on: text of a message.
    let words = b"the host's request is none";
    let at = image.windows(words.len()).position(|window| window == words).unwrap();
    let mut altered = image.clone();
    altered[at] ^= 1;
    let altered = start(&altered).unwrap();
    assert_ne!(altered.stack().launch, provider.stack().launch);

    let fault = start(&image[..image.len() / 2]).map(drop).unwrap_err();
    assert!(fault.to_string().contains("cut off"), "{fault}");
    let fault = start(b"#!/bin/sh").map(drop).unwrap_err();
    assert!(fault.to_string().contains("not the guest program"), "{fault}");
    std::fs::remove_file(folder.path().join("cryptlet-vm-guest")).unwrap();
    let mut config = config(1);
    config.command = command.clone();
    let fault = VmProvider::start(config).map(drop).unwrap_err();
    assert!(fault.to_string().contains("scripts/build-vm-guest"), "{fault}");
}

#[test]
fn the_same_code_has_the_same_digest_and_gives_the_same_as_in_a_process() {
    let Some(machines) = vm_provider(1) else { return };
    let processes = provider(1);
    for example in ["equity-tools", "monte-carlo", "credit-default-swap", "hello-c"] {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(example).join("cryptlet.wasm");
        let component = std::fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let (here, there) = (start(&machines, component.clone()), start(&processes, component));
        assert_eq!(here.keys().codeDigest, there.keys().codeDigest);
        assert_ne!(here.digest().measurement, there.digest().measurement);
        for input in [&b""[..], b"\x01\x02\x03\x04", &[0xff; 100], &[0; 4096]] {
            let (one, other) = (call(&here, input), call(&there, input));
            assert_eq!((one.output, one.result.units), (other.output, other.result.units), "{example}: {input:02x?}");
        }
    }
}

#[test]
fn long_inputs_and_outputs_pass_through_the_mailbox() {
    let Some(machines) = vm_provider(1) else { return };
    let container = start(&machines, echo());
    for bytes in [0, 1, 4095, 1 << 20, 8 << 20] {
        let mut invocation = invocation(&container, &vec![7; bytes]);
        (invocation.output_bytes_max, invocation.units_max) = (8 << 20, 100_000_000);
        let answer = container.call(&invocation, &TERMS).unwrap();
        assert_eq!(answer.output.len(), bytes);
        assert!(answer.output.iter().all(|byte| *byte == 7));
    }
    // And nothing of it is left.
    assert_eq!(&call(&container, b"short").output[..], b"short");
}

#[test]
fn a_call_over_its_time_ends_with_its_machine_and_the_next_has_another() {
    let mut config = config(1);
    config.pool.call_ms_max = 300;
    if vm_provider(1).is_none() {
        return;
    }
    let provider = VmProvider::start(config).unwrap();
    let (endless, witness) = (start(&provider, component(LOOP)), start(&provider, echo()));
    let mut invocation = invocation(&endless, b"");
    invocation.units_max = u64::MAX / engine::FUEL_PER_UNIT;
    let since = std::time::Instant::now();
    let fault = endless.call(&invocation, &TERMS).unwrap_err();
    assert!(matches!(fault, ContainerFault::DeadlineExceeded { limit_ms: 300 }), "{fault}");
    assert!(since.elapsed() < std::time::Duration::from_secs(5), "{:?}", since.elapsed());
    assert_eq!(&call(&witness, b"next").output[..], b"next");
}

/// A program that answers through a door that is closed: what a cryptlet looks like that broke out and does what it must not.
#[test]
fn a_machine_that_dies_is_a_fault_of_its_call_and_of_nothing_else() {
    if vm_provider(1).is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("cryptlet-worker");
    std::fs::copy(worker().program, &program).unwrap();
    let mut image = std::fs::read(VmProvider::image_beside(&worker().program)).unwrap();
    // `mov dx, ANSWER` becomes `mov dx, CLOSED` (src/vm/layout.rs).
    let places: Vec<usize> =
        (0..image.len() - 4).filter(|at| image[*at..*at + 4] == [0x66, 0xba, 0x08, 0x00]).map(|at| at + 2).collect();
    assert!(!places.is_empty(), "the program answers in another way");
    places.into_iter().for_each(|at| image[at] = 24);
    std::fs::write(VmProvider::image_beside(&program), image).unwrap();

    let mut config = config(1);
    config.command.program = program;
    let provider = VmProvider::start(config).unwrap();
    let workers = provider.worker_ids();
    let (one, other) = (start(&provider, echo()), start(&provider, component("unreachable")));
    for _ in 0..3 {
        for container in [&one, &other] {
            let fault = container.call(&invocation(container, b"hello"), &TERMS).unwrap_err();
            assert!(matches!(fault, ContainerFault::MachineLost { .. }), "{fault}");
            assert!(fault.to_string().contains("did something forbidden"), "{fault}");
            assert_eq!(fault.reason(), UnavailableReason::NoInstance);
        }
    }
    assert_eq!(provider.worker_ids(), workers, "the worker outlives its machines");
}

#[test]
fn an_ordinary_user_has_machines_if_the_group_says_so() {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root || !Path::new("/usr/bin/setpriv").exists() || vm_provider(1).is_none() {
        say_skipped("an_ordinary_user_has_machines_if_the_group_says_so: needs root, /usr/bin/setpriv and /dev/kvm");
        return;
    }
    let group = std::os::unix::fs::MetadataExt::gid(&std::fs::metadata("/dev/kvm").unwrap());
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(readable).tempdir_in("/tmp").unwrap();
    let binary = folder.path().join("worker-itself");
    std::fs::copy(worker().program, &binary).unwrap();
    let start_as = |groups: &str| {
        let wrapper = folder.path().join("cryptlet-worker");
        let line =
            format!("#!/bin/sh\nexec /usr/bin/setpriv --reuid=1000 --regid=1000 {groups} {}\n", binary.display());
        std::fs::write(&wrapper, line).unwrap();
        std::fs::set_permissions(&wrapper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        std::fs::copy(VmProvider::image_beside(&worker().program), VmProvider::image_beside(&wrapper)).unwrap();
        let mut config = config(1);
        config.command.program = wrapper;
        VmProvider::start(config)
    };
    let provider = start_as(&format!("--groups={group}")).unwrap();
    eprintln!("as an ordinary user, missing: {:?}", provider.stack().worker_sandbox.missing);
    assert!(provider.stack().worker_sandbox.in_force.contains(&Protection::VirtualMachine));
    assert_eq!(&call(&start(&provider, echo()), b"hello").output[..], b"hello");

    let fault = start_as("--clear-groups").map(drop).unwrap_err();
    assert!(fault.to_string().contains("/dev/kvm cannot be opened"), "{fault}");
    assert!(fault.to_string().contains("group `kvm`"), "{fault}");
}

#[test]
fn more_cryptlets_than_machines_take_turns() {
    let Some(provider) = vm_provider(1) else { return };
    let containers: Vec<_> = (0..40)
        .map(|number| {
            start(
                &provider,
                component(&format!("(drop (i32.const {number})) (call $ok (i32.const {number}) (i32.const 4))")),
            )
        })
        .collect();
    let workers = provider.worker_ids();
    for round in 0..2 {
        for container in &containers {
            assert_eq!(call(container, &[round]).output.len(), 4);
        }
    }
    assert_eq!(provider.worker_ids(), workers, "no worker died of it");
}

#[test]
fn only_components_run_in_machines() {
    let Some(provider) = vm_provider(1) else { return };
    let program = GuestCode::Process { program: b"exit".to_vec().into(), spec: ProgramSpec::new(Runtime::Python) };
    let contract = GuestCode::Evm { code: b"\x00".to_vec().into(), is_creation: false };
    for code in [program, contract] {
        let kind = code.kind();
        assert_ne!(kind, Kind::Wasm);
        let fault = Configured::new(code).measure(&provider).unwrap_err();
        assert!(fault.to_string().contains("isolation `vm` runs no containers of kind"), "{fault}");
        assert_eq!(fault.reason(), UnavailableReason::NoInstance);
    }
}

#[test]
fn code_for_a_process_does_not_get_into_a_machine_nor_the_other_way() {
    let Some(machines) = vm_provider(1) else { return };
    let here = InsecureInProcess::insecure_new().unwrap();
    let code = GuestCode::from(echo());
    let terms = instance_terms(code.digest());
    let (for_here, for_machines) = (here.prepare(&code).unwrap(), machines.prepare(&code).unwrap());
    assert_ne!(for_here.name, for_machines.name);
    assert!(machines.create(&for_here, &terms, Arc::new(Silent)).is_err());
    assert!(here.create(&for_machines, &terms, Arc::new(Silent)).is_err());
    assert!(provider(1).create(&for_machines, &terms, Arc::new(Silent)).is_err());
}
