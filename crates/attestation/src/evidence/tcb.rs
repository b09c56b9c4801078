//! How Intel rates a platform, and which ratings short of the best a policy tolerates.

use dcap_qvl::TcbStatus as Rated;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Intel's rating of a platform. The numbers are those of `CryptletPolicy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)] // Intel's words (PCS API, version 4)
pub enum TcbStatus {
    UpToDate = 0,
    SwHardeningNeeded = 1,
    ConfigurationNeeded = 2,
    ConfigurationAndSwHardeningNeeded = 3,
    OutOfDate = 4,
    OutOfDateConfigurationNeeded = 5,
    TdRelaunchAdvised = 6,
    TdRelaunchAdvisedConfigurationNeeded = 7,
    /// Never accepted.
    Revoked = 8,
}

impl From<Rated> for TcbStatus {
    fn from(status: Rated) -> Self {
        match status {
            Rated::UpToDate => Self::UpToDate,
            Rated::SWHardeningNeeded => Self::SwHardeningNeeded,
            Rated::ConfigurationNeeded => Self::ConfigurationNeeded,
            Rated::ConfigurationAndSWHardeningNeeded => Self::ConfigurationAndSwHardeningNeeded,
            Rated::OutOfDate => Self::OutOfDate,
            Rated::OutOfDateConfigurationNeeded => Self::OutOfDateConfigurationNeeded,
            Rated::TDRelaunchAdvised => Self::TdRelaunchAdvised,
            Rated::TDRelaunchAdvisedConfigurationNeeded => Self::TdRelaunchAdvisedConfigurationNeeded,
            Rated::Revoked => Self::Revoked,
        }
    }
}

impl fmt::Display for TcbStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UpToDate => "UpToDate",
            Self::SwHardeningNeeded => "SWHardeningNeeded",
            Self::ConfigurationNeeded => "ConfigurationNeeded",
            Self::ConfigurationAndSwHardeningNeeded => "ConfigurationAndSWHardeningNeeded",
            Self::OutOfDate => "OutOfDate",
            Self::OutOfDateConfigurationNeeded => "OutOfDateConfigurationNeeded",
            Self::TdRelaunchAdvised => "TDRelaunchAdvised",
            Self::TdRelaunchAdvisedConfigurationNeeded => "TDRelaunchAdvisedConfigurationNeeded",
            Self::Revoked => "Revoked",
        })
    }
}

/// Ratings that are accepted besides `UpToDate`: bit `n` stands for rating number `n`. `Revoked` cannot be tolerated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToleratedTcb(pub u8);

impl ToleratedTcb {
    /// Is a platform with this rating accepted?
    pub const fn accepts(self, status: TcbStatus) -> bool {
        match status {
            TcbStatus::UpToDate => true,
            TcbStatus::Revoked => false,
            other => self.0 >> other as u8 & 1 == 1,
        }
    }

    /// The same, and this rating.
    #[must_use]
    pub const fn with(self, status: TcbStatus) -> Self {
        match status {
            TcbStatus::UpToDate | TcbStatus::Revoked => self,
            other => Self(self.0 | 1 << other as u8),
        }
    }
}
