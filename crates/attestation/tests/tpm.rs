//! A TPM 2.0 end to end: `swtpm` plays the hardware, `tpm2-tools` the machine's owner, an endorser enrols the key, and the verifier
//! believes the quote, but not for another nonce, and not after the machine booted something else. Both programs come from Debian and
//! are installed by `scripts/setup`; without them the test says that it was skipped.
#![allow(clippy::unwrap_used)] // a failed unwrap is a failed test

use alloy_primitives::{Address, B256, Bytes, Signature, hex};
use alloy_sol_types::SolValue;
use cryptlet_attestation::{
    EvidenceFault, appraise,
    evidence::{
        TpmFault, require_binding,
        tpm::{key_name, statement},
    },
    signature::tpm_key_digest,
};
use cryptlet_primitives::{
    FabricDomain, RegistrationId, Signature65,
    abi::{TpmEndorsement, TpmEvidence},
};
use k256::ecdsa::SigningKey;
use std::{
    io::Write,
    os::unix::net::UnixStream,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const DOMAIN: FabricDomain = FabricDomain { chain_id: 31337, genesis_hash: B256::repeat_byte(0x6e) };
const NOW: u64 = 1_700_000_000;
const START_MAX: Duration = Duration::from_secs(20);

/// A TPM in a process of its own, in a folder of its own, that ends with this value.
struct Tpm {
    process: Child,
    folder: tempfile::TempDir,
}

impl Drop for Tpm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Tpm {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name).display().to_string();
        let process = Command::new("swtpm")
            .args(["socket", "--tpm2", "--flags", "startup-clear", "--tpmstate"])
            .arg(format!("dir={}", folder.path().display()))
            .arg("--server")
            .arg(format!("type=unixio,path={}", at("tpm")))
            .arg("--ctrl")
            .arg(format!("type=unixio,path={}", at("tpm.ctrl")))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let tpm = Self { process, folder };
        let begin = Instant::now();
        while UnixStream::connect(tpm.path("tpm.ctrl")).is_err() {
            assert!(begin.elapsed() < START_MAX, "swtpm did not start");
            std::thread::sleep(Duration::from_millis(20));
        }
        tpm
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    /// Runs one of the tools in the TPM's folder, and empties the TPM's little memory after it, as a resource manager does.
    fn run(&self, line: &str) {
        self.run_alone(line);
        self.run_alone("tpm2_flushcontext -t");
    }

    fn run_alone(&self, line: &str) {
        let mut words = line.split(' ');
        let output = Command::new(words.next().unwrap())
            .args(words)
            .current_dir(self.folder.path())
            .env("TPM2TOOLS_TCTI", format!("swtpm:path={}", self.path("tpm").display()))
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }

    fn file(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    fn make_attestation_key(&self) {
        self.run("tpm2_createek -c ek.ctx -G ecc -u ek.pub");
        self.run("tpm2_createak -C ek.ctx -c ak.ctx -G ecc -g sha256 -s ecdsa -u ak.pub -n ak.name");
    }

    /// `TPMT_PUBLIC`: the file holds it with its length before it.
    fn attestation_key(&self) -> Vec<u8> {
        self.file("ak.pub").split_off(2)
    }

    fn quote(&self, nonce: B256) -> TpmEvidence {
        let nonce = hex::encode(nonce);
        self.run(&format!(
            "tpm2_quote -c ak.ctx -l sha256:0,1,2,3,4,5,6,7 -q {nonce} -g sha256 -m quote.msg -s quote.sig"
        ));
        TpmEvidence {
            provider: 6,
            attest: self.file("quote.msg").into(),
            signature: self.file("quote.sig").into(),
            attestationKey: self.attestation_key().into(),
        }
    }
}

/// Enrols a key, as the machine's owner does who saw its TPM.
fn endorse(public_area: &[u8]) -> TpmEndorsement {
    let key = SigningKey::from_slice(&[7; 32]).unwrap();
    let mut endorsement = TpmEndorsement {
        keyName: key_name(public_area),
        isolation: 2,
        endorser: Address::from_public_key(key.verifying_key()),
        issuedAt: NOW,
        expires: NOW + 86_400,
        signature: Bytes::new(),
    };
    let digest = tpm_key_digest(&statement(&endorsement), &DOMAIN);
    let (signature, parity) = key.sign_prehash_recoverable(digest.as_slice()).unwrap();
    let signature = Signature65::from(Signature::from((signature, parity)));
    endorsement.signature = Bytes::copy_from_slice(signature.0.as_slice());
    endorsement
}

fn is_installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| Path::new(&folder).join(program).exists()))
}

#[test]
fn a_tpm_vouches_for_what_its_machine_booted() {
    for program in ["swtpm", "tpm2_quote"] {
        if !is_installed(program) {
            writeln!(
                std::io::stderr(),
                "SKIPPED a_tpm_vouches_for_what_its_machine_booted: {program} is not installed"
            )
            .unwrap();
            return;
        }
    }
    let tpm = Tpm::start();
    tpm.run("tpm2_pcrextend 4:sha256=00000000000000000000000000000000000000000000000000000000000000aa");
    tpm.make_attestation_key();
    let endorsement = endorse(&tpm.attestation_key()).abi_encode();
    assert_eq!(
        &tpm.file("ak.name")[2..],
        key_name(&tpm.attestation_key()).as_slice(),
        "the TPM names its key as we do"
    );

    let registration = RegistrationId(B256::repeat_byte(0x51));
    let evidence = tpm.quote(registration.0);
    let claims = appraise(&evidence.abi_encode(), &endorsement, &DOMAIN, NOW).unwrap();
    assert_eq!((claims.provider, claims.isolation, claims.expires), (6, 2, NOW + 86_400));
    require_binding(&claims, registration).unwrap();

    // Replayed for other keys.
    let other = RegistrationId(B256::repeat_byte(0x52));
    assert!(matches!(require_binding(&claims, other), Err(EvidenceFault::OtherKeys { .. })));
    // With the nonce put in by hand.
    let mut forged = evidence.clone();
    let attest = hex::encode(&forged.attest).replace(&hex::encode(registration.0), &hex::encode(other.0));
    forged.attest = hex::decode(attest).unwrap().into();
    assert_ne!(forged.attest, evidence.attest);
    let fault = appraise(&forged.abi_encode(), &endorsement, &DOMAIN, NOW).unwrap_err();
    assert_eq!(fault, EvidenceFault::Tpm(TpmFault::Signature));
    // The machine runs something else: the same keys, another measurement.
    tpm.run("tpm2_pcrextend 4:sha256=00000000000000000000000000000000000000000000000000000000000000bb");
    let later = appraise(&tpm.quote(registration.0).abi_encode(), &endorsement, &DOMAIN, NOW).unwrap();
    assert_ne!(later.measurement, claims.measurement);
    // Another TPM's key is not the one that was enrolled.
    let stranger = Tpm::start();
    stranger.make_attestation_key();
    let fault = appraise(&stranger.quote(registration.0).abi_encode(), &endorsement, &DOMAIN, NOW).unwrap_err();
    assert!(matches!(fault, EvidenceFault::Tpm(TpmFault::OtherKey { .. })), "{fault}");
    // A key that signs whatever it is given is no attestation key, enrolled or not.
    stranger.run("tpm2_createprimary -C o -c free.ctx -G ecc256:ecdsa-sha256 -a fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign");
    stranger.run("tpm2_readpublic -c free.ctx -f tss -o ak.pub");
    stranger.run("tpm2_quote -c free.ctx -l sha256:0,1 -q 00 -g sha256 -m quote.msg -s quote.sig");
    let free = TpmEvidence { attestationKey: stranger.attestation_key().into(), ..evidence };
    let endorsed = endorse(&free.attestationKey).abi_encode();
    let fault = appraise(&free.abi_encode(), &endorsed, &DOMAIN, NOW).unwrap_err();
    assert!(matches!(fault, EvidenceFault::Tpm(TpmFault::KeyAttributes(_))), "{fault}");
}
