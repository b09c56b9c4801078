//! One token, logged in. The only place that calls the vendor's library; runs in the process of the vault.

use super::wire::{Ask, SecretBytes, Told};
use cryptoki::{
    context::{CInitializeArgs, CInitializeFlags, Pkcs11},
    error::{Error, RvError},
    mechanism::Mechanism,
    object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle},
    session::{Session, UserType},
    types::AuthPin,
};
use std::path::Path;
use zeroize::Zeroizing;

/// DER of the object identifier of secp256k1, 1.3.132.0.10 (SEC 2). Keys with other parameters, or with parameters of their
/// own, are not ours: whoever chooses the curve can find keys that fit a signature (CVE-2020-0601).
const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
/// Whose data objects are ours.
const APPLICATION: &[u8] = b"cryptlet";
/// Longest PIN file, in bytes.
const PIN_BYTES_MAX: u64 = 256;

/// Why the token did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum TokenFault {
    #[error("{0}")]
    Pkcs11(#[from] Error),
    #[error("{0}")]
    Io(String),
    #[error("the PIN is wrong, or the token has locked it; it is not tried again, since tokens count")]
    Pin,
    #[error("{0}")]
    Wrong(String),
}

impl From<TokenFault> for Told {
    fn from(fault: TokenFault) -> Self {
        Self::Refused { why: fault.to_string(), is_pin: matches!(fault, TokenFault::Pin) }
    }
}

pub(super) struct Token {
    session: Session,
}

impl Token {
    /// Loads the library, finds the token by its label and logs in.
    pub(super) fn open(module: &str, label: &str, pin_file: &str) -> Result<Self, TokenFault> {
        let pin = read_pin(Path::new(pin_file))?;
        let library = Pkcs11::new(module)?;
        library.initialize(CInitializeArgs::new(CInitializeFlags::OS_LOCKING_OK))?;
        let mut labels = Vec::new();
        let mut found = None;
        for slot in library.get_slots_with_initialized_token()? {
            let info = library.get_token_info(slot)?;
            let is_it = info.label().trim_end() == label;
            labels.push(format!("{:?}", info.label().trim_end()));
            if is_it && found.replace(slot).is_some() {
                return Err(TokenFault::Wrong(format!("several tokens are labelled {label:?}; labels must differ")));
            }
        }
        let slot = found.ok_or_else(|| {
            TokenFault::Wrong(format!("there is no token labelled {label:?}; there are: {}", labels.join(", ")))
        })?;
        let session = library.open_rw_session(slot)?;
        session.login(UserType::User, Some(&pin)).map_err(|error| match error {
            Error::Pkcs11(
                RvError::PinIncorrect | RvError::PinLocked | RvError::PinExpired | RvError::PinLenRange,
                _,
            ) => TokenFault::Pin,
            other => other.into(),
        })?;
        Ok(Self { session })
    }

    pub(super) fn answer(&self, ask: Ask) -> Told {
        let answer = match ask {
            Ask::Open { .. } => Err(TokenFault::Wrong("the token is open".to_owned())),
            Ask::Secret { name } => self.secret(&name).map(Told::Secret),
            Ask::Keep { name, secret } => self.keep(&name, &secret).map(|()| Told::Done),
            Ask::Find { name } => self.find(&name).map(Told::Key),
            Ask::Make { name } => self.make(&name).map(|key| Told::Key(Some(key))),
            Ask::Sign { name, digest } => self.sign(&name, &digest).map(Told::Signature),
        };
        answer.unwrap_or_else(Told::from)
    }

    fn secret(&self, name: &str) -> Result<Option<SecretBytes>, TokenFault> {
        let Some(object) = self.one(&data_template(name))? else { return Ok(None) };
        match self.session.get_attributes(object, &[AttributeType::Value])?.pop() {
            Some(Attribute::Value(value)) => Ok(Some(SecretBytes(value))),
            _ => Err(TokenFault::Wrong(format!("the token does not give the value of {name:?}"))),
        }
    }

    /// The new one is there before the old one goes.
    fn keep(&self, name: &str, secret: &SecretBytes) -> Result<(), TokenFault> {
        let old = self.session.find_objects(&data_template(name))?;
        let mut template = data_template(name);
        template.extend([Attribute::Token(true), Attribute::Private(true), Attribute::Value(secret.0.clone())]);
        let created = self.session.create_object(&template);
        for attribute in &mut template {
            if let Attribute::Value(value) = attribute {
                zeroize::Zeroize::zeroize(value);
            }
        }
        created?;
        for object in old {
            self.session.destroy_object(object)?;
        }
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Option<Vec<u8>>, TokenFault> {
        let Some(private) = self.one(&key_template(ObjectClass::PRIVATE_KEY, name))? else { return Ok(None) };
        self.check_private(name, private)?;
        let public = self.one(&key_template(ObjectClass::PUBLIC_KEY, name))?;
        let public = public.ok_or_else(|| TokenFault::Wrong(format!("{name:?} has no public key in the token")))?;
        self.point(name, public).map(Some)
    }

    fn make(&self, name: &str) -> Result<Vec<u8>, TokenFault> {
        if self.one(&key_template(ObjectClass::PRIVATE_KEY, name))?.is_some() {
            return Err(TokenFault::Wrong(format!("the token has a key {name:?} already")));
        }
        let label = Attribute::Label(name.as_bytes().to_vec());
        let public =
            [label.clone(), Attribute::Token(true), Attribute::Verify(true), Attribute::EcParams(SECP256K1.to_vec())];
        let private = [
            label,
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
        ];
        let (public, private) = self.session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private)?;
        self.check_private(name, private)?;
        self.point(name, public)
    }

    fn sign(&self, name: &str, digest: &[u8; 32]) -> Result<Vec<u8>, TokenFault> {
        let private = self.one(&key_template(ObjectClass::PRIVATE_KEY, name))?;
        let private = private.ok_or_else(|| TokenFault::Wrong(format!("the token has no key {name:?}")))?;
        Ok(self.session.sign(&Mechanism::Ecdsa, private, digest)?)
    }

    /// A key that could be taken out of the token, or was put in from outside, is none to trust.
    fn check_private(&self, name: &str, key: ObjectHandle) -> Result<(), TokenFault> {
        let wanted = [
            (AttributeType::Sensitive, true, "CKA_SENSITIVE"),
            (AttributeType::Extractable, false, "CKA_EXTRACTABLE"),
            (AttributeType::AlwaysSensitive, true, "CKA_ALWAYS_SENSITIVE"),
            (AttributeType::NeverExtractable, true, "CKA_NEVER_EXTRACTABLE"),
            (AttributeType::Local, true, "CKA_LOCAL"),
        ];
        let types: Vec<AttributeType> = wanted.iter().map(|(kind, ..)| *kind).collect();
        let found = self.session.get_attributes(key, &types)?;
        for (kind, right, text) in wanted {
            let value = found.iter().find_map(|attribute| match attribute {
                Attribute::Sensitive(value)
                | Attribute::Extractable(value)
                | Attribute::AlwaysSensitive(value)
                | Attribute::NeverExtractable(value)
                | Attribute::Local(value)
                    if attribute.attribute_type() == kind =>
                {
                    Some(*value)
                }
                _ => None,
            });
            if value != Some(right) {
                return Err(TokenFault::Wrong(format!(
                    "key {name:?} has {text} {value:?}; it must be {right}: made in the token, never to leave it"
                )));
            }
        }
        Ok(())
    }

    /// The public key, uncompressed, if it is on our curve.
    fn point(&self, name: &str, public: ObjectHandle) -> Result<Vec<u8>, TokenFault> {
        let found = self.session.get_attributes(public, &[AttributeType::EcParams, AttributeType::EcPoint])?;
        let mut point = None;
        for attribute in found {
            match attribute {
                Attribute::EcParams(params) if params != SECP256K1 => {
                    return Err(TokenFault::Wrong(format!("key {name:?} is not on the named curve secp256k1")));
                }
                Attribute::EcPoint(bytes) => point = Some(bytes),
                _ => {}
            }
        }
        match point.as_deref() {
            // A DER octet string, as PKCS#11 says; some tokens leave the wrapping out.
            Some([0x04, 65, point @ ..]) if point.len() == 65 => Ok(point.to_vec()),
            Some(point) if point.len() == 65 => Ok(point.to_vec()),
            _ => Err(TokenFault::Wrong(format!("the token does not give the point of {name:?}"))),
        }
    }

    fn one(&self, template: &[Attribute]) -> Result<Option<ObjectHandle>, TokenFault> {
        match self.session.find_objects(template)?.as_slice() {
            [] => Ok(None),
            [object] => Ok(Some(*object)),
            several => Err(TokenFault::Wrong(format!("{} objects have one label; labels must differ", several.len()))),
        }
    }
}

fn key_template(class: ObjectClass, name: &str) -> Vec<Attribute> {
    vec![Attribute::Class(class), Attribute::KeyType(KeyType::EC), Attribute::Label(name.as_bytes().to_vec())]
}

fn data_template(name: &str) -> Vec<Attribute> {
    vec![
        Attribute::Class(ObjectClass::DATA),
        Attribute::Application(APPLICATION.to_vec()),
        Attribute::Label(name.as_bytes().to_vec()),
    ]
}

fn read_pin(file: &Path) -> Result<AuthPin, TokenFault> {
    use std::io::Read;
    let unreadable = |error: std::io::Error| TokenFault::Io(format!("the PIN file {} is: {error}", file.display()));
    let mut text = Zeroizing::new(Vec::with_capacity(PIN_BYTES_MAX as usize + 64));
    std::fs::File::open(file)
        .map_err(unreadable)?
        .take(PIN_BYTES_MAX + 1)
        .read_to_end(&mut text)
        .map_err(unreadable)?;
    let pin = std::str::from_utf8(&text).map(|text| text.trim_end_matches(['\r', '\n'])).ok();
    match pin {
        Some(pin) if !pin.is_empty() && text.len() as u64 <= PIN_BYTES_MAX => Ok(AuthPin::from(pin)),
        _ => Err(TokenFault::Io(format!(
            "the PIN file {} must hold one line of at most {PIN_BYTES_MAX} bytes",
            file.display()
        ))),
    }
}
