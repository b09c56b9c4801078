//! Generated from `contracts/artifacts/*.storage.json`. Do not edit: run
//! `UPDATE_SLOTS=1 cargo test --release -p cryptlet-delegate --test it slots`.
#![allow(missing_docs)] // each is documented in Solidity

slots! {
    registry {
        ADMIN: 0, 0, 20;
        PENDING_ADMIN: 1, 0, 20;
        GENESIS_HASH: 2, 0, 32;
        FACTORY: 3, 0, 32;
        CRYPTLETS: 4, 0, 32;
        INSTANCES: 5, 0, 32;
        REGISTRATION_IDS: 6, 0, 32;
        ALL_CRYPTLET_IDS: 7, 0, 32;
        INSTANCE_OF_SIGNER: 8, 0, 32;
        IS_HOST_OPERATOR: 9, 0, 32;
        RENEWAL_OF: 10, 0, 32;
    }

    cryptlet {
        PUBLISHER: 0, 0, 20;
        STATUS: 0, 20, 1;
        KIND: 0, 21, 1;
        ISOLATION: 0, 22, 1;
        SIMULATION_POLICY: 0, 23, 1;
        REGISTERED_BLOCK: 0, 24, 8;
        CODE_DIGEST: 1, 0, 32;
        BOUND_CONTRACT: 2, 0, 20;
        MINIMUM_INSTANCES: 2, 20, 2;
        MAXIMUM_INSTANCES: 2, 22, 2;
        OUTPUT_BYTES_MAX: 2, 24, 4;
        ACTIVE_INSTANCES: 2, 28, 4;
        UNITS_MAX: 3, 0, 8;
        KEY_EPOCH: 3, 8, 8;
        PREVIOUS_EPOCH: 3, 16, 8;
        PREVIOUS_EPOCH_UNTIL: 3, 24, 8;
        SUSPENDED_BY_ADMIN: 4, 0, 1;
        IDENTITY_KEY: 4, 1, 20;
        MANIFEST_DIGEST: 5, 0, 32;
        HEADER_DIGEST: 6, 0, 32;
        CONFIG_DIGEST: 7, 0, 32;
        NAME: 8, 0, 32;
        SIMULATION_STUB: 9, 0, 32;
    }

    instance {
        SIGNER: 0, 0, 20;
        KEY_EPOCH: 0, 20, 8;
        PROVIDER: 0, 28, 2;
        STATUS: 0, 30, 1;
        ISOLATION: 0, 31, 1;
        CRYPTLET_ID: 1, 0, 32;
        CODE_DIGEST: 2, 0, 32;
        REGISTERED_BLOCK: 3, 0, 8;
        NOT_AFTER_BLOCK: 3, 8, 8;
        EVIDENCE_EXPIRES: 3, 16, 8;
        POLICY_VERSION: 3, 24, 4;
        GRACE_BLOCKS: 3, 28, 4;
        MEASUREMENT: 4, 0, 32;
        HPKE_KEY: 5, 0, 32;
        EVIDENCE_HASH: 6, 0, 32;
        ENDORSEMENTS_HASH: 7, 0, 32;
        ENDORSER: 8, 0, 20;
        CONTAINER: 8, 20, 1;
        VERSION: 8, 21, 4;
    }

    policy {
        ADMIN: 0, 0, 20;
        PENDING_ADMIN: 1, 0, 20;
        RULES: 2, 0, 32;
        MEASUREMENT_LISTING: 3, 0, 32;
        ENDORSER_LISTING: 4, 0, 32;
        ACCEPTED_VERSIONS: 5, 0, 32;
    }

    rules {
        VERSION: 0, 0, 4;
        ACCEPTED_PROVIDERS: 0, 4, 4;
        MINIMUM_ISOLATION: 0, 8, 1;
        IS_ENDORSER_RESTRICTED: 0, 9, 1;
        RESTRICTED_PROVIDERS: 0, 10, 4;
        TOLERATED_TCB: 0, 14, 1;
        KEY_LIFETIME_BLOCKS_MAX: 0, 15, 4;
        ROTATION_GRACE_BLOCKS_MAX: 0, 19, 4;
        IS_ACTIVATION_AUTOMATIC: 0, 23, 1;
    }

    versions {
        MINIMUM: 0, 0, 4;
        MAXIMUM: 0, 4, 4;
    }

    administrators {
        THRESHOLD: 0, 0, 4;
        MEMBER_COUNT: 0, 4, 4;
        GENERATION: 0, 8, 4;
        IS_MEMBER: 1, 0, 32;
        HAS_APPROVED: 2, 0, 32;
        PROPOSALS: 3, 0, 32;
    }
}
