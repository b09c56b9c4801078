use super::*;

fn wad(value: f64) -> U256 {
    from_f64(value).unwrap()
}

/// Published outputs of SplitMix64 for seed 1234567, as in the test vectors of Rosetta Code, "Pseudo-random numbers/Splitmix64".
#[test]
fn split_mix_published_numbers() {
    let published =
        [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
    for (path, published) in published.into_iter().enumerate() {
        assert_eq!(split_mix(1_234_567, path as u32), published);
    }
}

/// Quantiles of the standard normal distribution from any table.
#[test]
fn normal_quantiles() {
    for (p, x) in [(0.5, 0.0), (0.975, 1.959963984540054), (0.99, 2.326347874040841), (0.001, -3.090232306167813)] {
        let found = normal::inverse(p);
        assert!((found - x).abs() <= 1.15e-9 * x.abs(), "{p}: found {found}, table {x}");
    }
}

/// Hull, Options, Futures, and Other Derivatives, 10th edition, example 15.6: the call is worth 4.76 (4.759422… in full).
#[test]
fn comes_within_three_standard_errors_of_black_scholes() {
    for seed in [0, 1, 42, u64::MAX] {
        let (found, error) = price(wad(42.0), wad(40.0), wad(0.1), wad(0.2), wad(0.5), 100_000, seed).unwrap();
        let (found, error) = (to_f64(found), to_f64(error));
        assert!(error < 0.016, "seed {seed}: standard error {error}");
        assert!((found - 4.759422392871535).abs() < 3.0 * error, "seed {seed}: {found} ± {error}");
    }
}

/// With hardly any uncertainty every path ends at the forward price.
#[test]
fn without_uncertainty_it_is_the_discounted_forward() {
    let (found, error) = price(wad(42.0), wad(40.0), wad(0.1), wad(1e-9), wad(0.5), 100, 7).unwrap();
    assert!((to_f64(found) - (42.0 - 40.0 * (-0.05_f64).exp())).abs() < 1e-7);
    assert!(to_f64(error) < 1e-6);
}

#[test]
fn the_same_seed_walks_the_same_paths() {
    let run = |seed| price(wad(42.0), wad(40.0), wad(0.1), wad(0.2), wad(0.5), 1_000, seed).unwrap();
    assert_eq!(run(5), run(5));
    assert_ne!(run(5), run(6));
}

#[test]
fn bad_arguments_are_refused_in_words() {
    let one = wad(1.0);
    let refused = |spot, paths| price(spot, one, one, one, one, paths, 0).unwrap_err().reason().unwrap();
    assert_eq!(refused(U256::ZERO, 10), "spot is zero: it must be positive");
    assert_eq!(refused(one, 1), "1 paths: a standard error needs at least two");
    assert!(price(U256::MAX, one, one, U256::MAX, U256::MAX, 2, 0).is_err(), "past all markets: fails, does not panic");
}
