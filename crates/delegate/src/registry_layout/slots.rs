//! Generated from `contracts/artifacts/*.storage.json`. Do not edit: run
//! `UPDATE_SLOTS=1 cargo test --release -p cryptlet-delegate --test it slots`.
#![allow(missing_docs)] // each is documented in Solidity

pub mod registry {
    use crate::registry_layout::Packed;

    pub const ADMIN: Packed = Packed { slot: 0, offset: 0, bytes: 20 };
    pub const PENDING_ADMIN: Packed = Packed { slot: 1, offset: 0, bytes: 20 };
    pub const GENESIS_HASH: Packed = Packed { slot: 2, offset: 0, bytes: 32 };
    pub const FACTORY: Packed = Packed { slot: 3, offset: 0, bytes: 32 };
    pub const CRYPTLETS: Packed = Packed { slot: 4, offset: 0, bytes: 32 };
    pub const INSTANCES: Packed = Packed { slot: 5, offset: 0, bytes: 32 };
    pub const REGISTRATION_IDS: Packed = Packed { slot: 6, offset: 0, bytes: 32 };
    pub const ALL_CRYPTLET_IDS: Packed = Packed { slot: 7, offset: 0, bytes: 32 };
    pub const INSTANCE_OF_SIGNER: Packed = Packed { slot: 8, offset: 0, bytes: 32 };
    pub const IS_HOST_OPERATOR: Packed = Packed { slot: 9, offset: 0, bytes: 32 };
    pub const RENEWAL_OF: Packed = Packed { slot: 10, offset: 0, bytes: 32 };
}

pub mod cryptlet {
    use crate::registry_layout::Packed;

    pub const PUBLISHER: Packed = Packed { slot: 0, offset: 0, bytes: 20 };
    pub const STATUS: Packed = Packed { slot: 0, offset: 20, bytes: 1 };
    pub const KIND: Packed = Packed { slot: 0, offset: 21, bytes: 1 };
    pub const ISOLATION: Packed = Packed { slot: 0, offset: 22, bytes: 1 };
    pub const SIMULATION_POLICY: Packed = Packed { slot: 0, offset: 23, bytes: 1 };
    pub const REGISTERED_BLOCK: Packed = Packed { slot: 0, offset: 24, bytes: 8 };
    pub const CODE_DIGEST: Packed = Packed { slot: 1, offset: 0, bytes: 32 };
    pub const BOUND_CONTRACT: Packed = Packed { slot: 2, offset: 0, bytes: 20 };
    pub const MINIMUM_INSTANCES: Packed = Packed { slot: 2, offset: 20, bytes: 2 };
    pub const MAXIMUM_INSTANCES: Packed = Packed { slot: 2, offset: 22, bytes: 2 };
    pub const OUTPUT_BYTES_MAX: Packed = Packed { slot: 2, offset: 24, bytes: 4 };
    pub const ACTIVE_INSTANCES: Packed = Packed { slot: 2, offset: 28, bytes: 4 };
    pub const UNITS_MAX: Packed = Packed { slot: 3, offset: 0, bytes: 8 };
    pub const KEY_EPOCH: Packed = Packed { slot: 3, offset: 8, bytes: 8 };
    pub const PREVIOUS_EPOCH: Packed = Packed { slot: 3, offset: 16, bytes: 8 };
    pub const PREVIOUS_EPOCH_UNTIL: Packed = Packed { slot: 3, offset: 24, bytes: 8 };
    pub const SUSPENDED_BY_ADMIN: Packed = Packed { slot: 4, offset: 0, bytes: 1 };
    pub const IDENTITY_KEY: Packed = Packed { slot: 4, offset: 1, bytes: 20 };
    pub const MANIFEST_DIGEST: Packed = Packed { slot: 5, offset: 0, bytes: 32 };
    pub const HEADER_DIGEST: Packed = Packed { slot: 6, offset: 0, bytes: 32 };
    pub const CONFIG_DIGEST: Packed = Packed { slot: 7, offset: 0, bytes: 32 };
    pub const NAME: Packed = Packed { slot: 8, offset: 0, bytes: 32 };
    pub const SIMULATION_STUB: Packed = Packed { slot: 9, offset: 0, bytes: 32 };
}

pub mod instance {
    use crate::registry_layout::Packed;

    pub const SIGNER: Packed = Packed { slot: 0, offset: 0, bytes: 20 };
    pub const KEY_EPOCH: Packed = Packed { slot: 0, offset: 20, bytes: 8 };
    pub const PROVIDER: Packed = Packed { slot: 0, offset: 28, bytes: 2 };
    pub const STATUS: Packed = Packed { slot: 0, offset: 30, bytes: 1 };
    pub const ISOLATION: Packed = Packed { slot: 0, offset: 31, bytes: 1 };
    pub const CRYPTLET_ID: Packed = Packed { slot: 1, offset: 0, bytes: 32 };
    pub const CODE_DIGEST: Packed = Packed { slot: 2, offset: 0, bytes: 32 };
    pub const REGISTERED_BLOCK: Packed = Packed { slot: 3, offset: 0, bytes: 8 };
    pub const NOT_AFTER_BLOCK: Packed = Packed { slot: 3, offset: 8, bytes: 8 };
    pub const EVIDENCE_EXPIRES: Packed = Packed { slot: 3, offset: 16, bytes: 8 };
    pub const POLICY_VERSION: Packed = Packed { slot: 3, offset: 24, bytes: 4 };
    pub const MEASUREMENT: Packed = Packed { slot: 4, offset: 0, bytes: 32 };
    pub const HPKE_KEY: Packed = Packed { slot: 5, offset: 0, bytes: 32 };
    pub const EVIDENCE_HASH: Packed = Packed { slot: 6, offset: 0, bytes: 32 };
    pub const ENDORSEMENTS_HASH: Packed = Packed { slot: 7, offset: 0, bytes: 32 };
    pub const ENDORSER: Packed = Packed { slot: 8, offset: 0, bytes: 20 };
}

pub mod policy {
    use crate::registry_layout::Packed;

    pub const ADMIN: Packed = Packed { slot: 0, offset: 0, bytes: 20 };
    pub const PENDING_ADMIN: Packed = Packed { slot: 1, offset: 0, bytes: 20 };
    pub const RULES: Packed = Packed { slot: 2, offset: 0, bytes: 32 };
    pub const MEASUREMENT_LISTING: Packed = Packed { slot: 3, offset: 0, bytes: 32 };
    pub const ENDORSER_LISTING: Packed = Packed { slot: 4, offset: 0, bytes: 32 };
}

pub mod rules {
    use crate::registry_layout::Packed;

    pub const VERSION: Packed = Packed { slot: 0, offset: 0, bytes: 4 };
    pub const ACCEPTED_PROVIDERS: Packed = Packed { slot: 0, offset: 4, bytes: 4 };
    pub const MINIMUM_ISOLATION: Packed = Packed { slot: 0, offset: 8, bytes: 1 };
    pub const IS_ENDORSER_RESTRICTED: Packed = Packed { slot: 0, offset: 9, bytes: 1 };
    pub const RESTRICTED_PROVIDERS: Packed = Packed { slot: 0, offset: 10, bytes: 4 };
    pub const TOLERATED_TCB: Packed = Packed { slot: 0, offset: 14, bytes: 1 };
    pub const KEY_LIFETIME_BLOCKS_MAX: Packed = Packed { slot: 0, offset: 15, bytes: 4 };
    pub const ROTATION_GRACE_BLOCKS_MAX: Packed = Packed { slot: 0, offset: 19, bytes: 4 };
}

pub mod administrators {
    use crate::registry_layout::Packed;

    pub const THRESHOLD: Packed = Packed { slot: 0, offset: 0, bytes: 4 };
    pub const MEMBER_COUNT: Packed = Packed { slot: 0, offset: 4, bytes: 4 };
    pub const GENERATION: Packed = Packed { slot: 0, offset: 8, bytes: 4 };
    pub const IS_MEMBER: Packed = Packed { slot: 1, offset: 0, bytes: 32 };
    pub const HAS_APPROVED: Packed = Packed { slot: 2, offset: 0, bytes: 32 };
    pub const PROPOSALS: Packed = Packed { slot: 3, offset: 0, bytes: 32 };
}
