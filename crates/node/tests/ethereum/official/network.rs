//! From the names that the vectors have for forks to a configuration.

use alloy::genesis::ChainConfig;
use alloy_primitives::U256;

/// Forks by number, in order.
const BY_NUMBER: [&str; 13] = [
    "Frontier",
    "Homestead",
    "DAO",
    "EIP150",
    "EIP158",
    "Byzantium",
    "ConstantinopleFix",
    "Istanbul",
    "MuirGlacier",
    "Berlin",
    "London",
    "ArrowGlacier",
    "GrayGlacier",
];

/// Forks by time, in order, behind the merge.
const BY_TIME: [&str; 10] =
    ["Shanghai", "Cancun", "Prague", "Osaka", "BPO1", "BPO2", "BPO3", "BPO4", "BPO5", "Amsterdam"];

/// The configuration of a network; what is missing if this node has none for it.
pub(super) fn config(network: &str) -> Result<ChainConfig, &'static str> {
    let mut config = ChainConfig { chain_id: 1, ..ChainConfig::default() };
    let (from, later) = match network.split_once("To") {
        // "ByzantiumToConstantinopleFixAt5", "CancunToPragueAtTime15k", "ArrowGlacierToParisAtDiffC0000"
        Some((from, rest)) => (from, rest.split_once("At")),
        None => (network, None),
    };
    activate(&mut config, from, 0, 0)?;
    let Some((to, when)) = later else { return Ok(config) };
    if let Some(difficulty) = when.strip_prefix("Diff") {
        let terminal = U256::from_str_radix(difficulty, 16).map_err(|_| "a difficulty that is not a number")?;
        config.terminal_total_difficulty = Some(terminal);
    } else if let Some(time) = when.strip_prefix("Time") {
        let (digits, factor) = time.strip_suffix('k').map_or((time, 1), |thousands| (thousands, 1000));
        activate(&mut config, to, 0, digits.parse::<u64>().map_err(|_| "a time that is not a number")? * factor)?;
    } else {
        activate(&mut config, to, when.parse().map_err(|_| "a block that is not a number")?, 0)?;
    }
    Ok(config)
}

/// Sets every fork up to this one that is not set yet.
fn activate(config: &mut ChainConfig, fork: &str, number: u64, time: u64) -> Result<(), &'static str> {
    let fork = match fork {
        "Constantinople" => return Err("Constantinople without Petersburg, whose rules no EVM here has"),
        "Dao" => "DAO",
        "ConstantinopleFix" | "Petersburg" => "ConstantinopleFix",
        "EIP158" | "SpuriousDragon" => "EIP158",
        "EIP150" | "TangerineWhistle" => "EIP150",
        other => other,
    };
    let by_time = BY_TIME.iter().position(|name| *name == fork);
    let is_merged = by_time.is_some() || matches!(fork, "Paris" | "Merge");
    let last = match BY_NUMBER.iter().position(|name| *name == fork) {
        Some(last) => last,
        None if is_merged => BY_NUMBER.len() - 1,
        None => return Err("a fork this node does not run"),
    };
    for (index, name) in BY_NUMBER.iter().enumerate().take(last + 1) {
        // The vectors have a DAO fork only where they are about it.
        if *name != "DAO" || (fork == "DAO" && index == last) {
            set_number(config, name, number);
        }
    }
    if is_merged {
        config.terminal_total_difficulty = Some(U256::ZERO);
    }
    for name in BY_TIME.iter().take(by_time.map_or(0, |last| last + 1)) {
        set_time(config, name, time);
    }
    Ok(())
}

fn set_number(config: &mut ChainConfig, fork: &str, number: u64) {
    let fields: &mut [&mut Option<u64>] = match fork {
        "Homestead" => &mut [&mut config.homestead_block],
        "DAO" => {
            config.dao_fork_support = true;
            &mut [&mut config.dao_fork_block]
        }
        "EIP150" => &mut [&mut config.eip150_block],
        "EIP158" => &mut [&mut config.eip155_block, &mut config.eip158_block],
        "Byzantium" => &mut [&mut config.byzantium_block],
        "ConstantinopleFix" => &mut [&mut config.constantinople_block, &mut config.petersburg_block],
        "Istanbul" => &mut [&mut config.istanbul_block],
        "MuirGlacier" => &mut [&mut config.muir_glacier_block],
        "Berlin" => &mut [&mut config.berlin_block],
        "London" => &mut [&mut config.london_block],
        "ArrowGlacier" => &mut [&mut config.arrow_glacier_block],
        "GrayGlacier" => &mut [&mut config.gray_glacier_block],
        _ => &mut [],
    };
    fields.iter_mut().for_each(|field| _ = field.get_or_insert(number));
}

fn set_time(config: &mut ChainConfig, fork: &str, time: u64) {
    let field = match fork {
        "Shanghai" => &mut config.shanghai_time,
        "Cancun" => &mut config.cancun_time,
        "Prague" => &mut config.prague_time,
        "Osaka" => &mut config.osaka_time,
        "BPO1" => &mut config.bpo1_time,
        "BPO2" => &mut config.bpo2_time,
        "BPO3" => &mut config.bpo3_time,
        "BPO4" => &mut config.bpo4_time,
        "BPO5" => &mut config.bpo5_time,
        _ => &mut config.amsterdam_time,
    };
    field.get_or_insert(time);
}

#[test]
fn names_become_configurations() {
    let at_five = config("ByzantiumToConstantinopleFixAt5").unwrap();
    assert_eq!((at_five.byzantium_block, at_five.petersburg_block), (Some(0), Some(5)));
    assert_eq!(config("CancunToPragueAtTime15k").unwrap().prague_time, Some(15_000));
    assert_eq!(config("BPO2ToAmsterdamAtTime15k").unwrap().amsterdam_time, Some(15_000));
    let to_paris = config("ArrowGlacierToParisAtDiffC0000").unwrap();
    assert_eq!(to_paris.terminal_total_difficulty, Some(U256::from(0xc_0000)));
    assert_eq!(
        (config("HomesteadToDaoAt5").unwrap().dao_fork_block, config("EIP150").unwrap().dao_fork_block),
        (Some(5), None)
    );
}
