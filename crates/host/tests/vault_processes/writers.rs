//! Several processes that write into one file at a time.

use cryptlet_host::{FileVault, KeyName, SystemEntropy, Vault, vault::signing_key_or_new};
use std::{
    collections::BTreeSet,
    io::Read,
    path::Path,
    process::{Command, ExitCode, Stdio},
};

const WRITERS: usize = 4;
const KEYS: usize = 40;

fn name(writer: usize, key: usize) -> KeyName {
    KeyName::account(&format!("writer-{writer}-{key}")).unwrap()
}

/// One of the processes: waits until its standard input ends, and then makes keys, the first of them one that all make.
pub(crate) fn write(folder: &Path, writer: &str) -> ExitCode {
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let vault = FileVault::open_insecure_dev(folder, &SystemEntropy).unwrap();
    let common = signing_key_or_new(&vault, &KeyName::host(), &SystemEntropy).unwrap();
    println!("{}", common.address());
    for key in 0..KEYS {
        let made = vault.make_signing_key(&name(writer.parse().unwrap(), key), &SystemEntropy).unwrap();
        println!("{}", made.address());
    }
    ExitCode::SUCCESS
}

/// They begin at once in an empty folder, so they also agree on the passphrase that is drawn.
pub(crate) fn lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let start = |writer: usize| {
        Command::new(std::env::current_exe().unwrap())
            .args(["vault-writer".as_ref(), folder.path().as_os_str(), writer.to_string().as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut writers: Vec<_> = (0..WRITERS).map(start).collect();
    writers.iter_mut().for_each(|writer| drop(writer.stdin.take()));
    let mut common = BTreeSet::new();
    let mut made = Vec::new();
    for (index, writer) in writers.into_iter().enumerate() {
        let ended = writer.wait_with_output().unwrap();
        assert!(ended.status.success(), "writer {index}: {}", ended.status);
        let said = String::from_utf8(ended.stdout).unwrap();
        let mut addresses = said.lines().map(str::to_owned);
        common.extend(addresses.next());
        made.extend(addresses.enumerate().map(|(key, address)| (name(index, key), address)));
    }
    assert_eq!(common.len(), 1, "they made different keys of one name: {common:?}");
    assert_eq!(made.len(), WRITERS * KEYS);
    let vault = FileVault::open_insecure_dev(folder.path(), &SystemEntropy).unwrap();
    for (name, address) in made {
        let found = vault.signing_key(&name).unwrap().unwrap_or_else(|| panic!("{name} was lost"));
        assert_eq!(found.address().to_string(), address, "{name}");
    }
}
