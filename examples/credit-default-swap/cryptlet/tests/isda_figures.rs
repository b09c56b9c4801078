//! The model against figures that the ISDA code itself produced.
#![allow(clippy::excessive_precision)] // as published

#[path = "isda_figures/money_market.rs"]
mod money_market;

use credit_default_swap::curve::Curve;
use credit_default_swap::date::Day;
use credit_default_swap::isda::{Swap, Value};
use credit_default_swap::schedule::Premium;

const NOTIONAL: f64 = 1e7;
const RECOVERY: f64 = 0.4;

/// Day, month, year.
fn date((day, month, year): (i64, i64, i64)) -> Day {
    Day::from_civil(year, month, day)
}

fn working_days_after(day: Day, count: usize) -> Day {
    (0..count).fold(day, |day, _| day.plus_days(1).following())
}

fn swap(today: Day, start: Day, end: Day) -> Swap {
    let premium = Premium::quarterly(start, end).unwrap();
    Swap { premium, today, settles: working_days_after(today, 3), recovery: RECOVERY }
}

#[track_caller]
fn close_to(what: &str, found: f64, published: f64, tolerance: f64) {
    assert!((found - published).abs() <= tolerance, "{what}: found {found}, published {published}");
}

/// Example of the ISDA model's Excel sheet, "upfront from a flat spread": 5 % coupon, 550 bp quoted, trade date 2008-09-19. In OpenGamma Strata,
/// `UpfrontFlatTest` ("Numbers from Excel"): clean upfront 1.8566047 %, cash settlement 57,882.69024 on ten million.
#[test]
fn upfront_of_a_quoted_spread_is_that_of_the_isda_sheet() {
    let today = date((19, 9, 2008));
    let discount = money_market::Quotes {
        deposits: &[(1, 0.00445), (2, 0.009488), (3, 0.012337), (6, 0.017762), (9, 0.01935), (12, 0.020838)],
        swaps: &[
            (2, 0.01652),
            (3, 0.02018),
            (4, 0.023033),
            (5, 0.02525),
            (6, 0.02696),
            (7, 0.02825),
            (8, 0.02931),
            (9, 0.03017),
            (10, 0.03092),
            (11, 0.0316),
            (12, 0.03231),
            (15, 0.03367),
            (20, 0.03419),
            (25, 0.03411),
            (30, 0.03412),
        ],
    }
    .curve(today, working_days_after(today, 2));
    let swap = swap(today, date((20, 3, 2007)), date((20, 6, 2013)));

    let hazard_rate = swap.hazard_rate(&discount, 0.0550).unwrap();
    let value = swap.value(&discount, &Curve::flat(hazard_rate));

    let clean = value.protection - 0.05 * value.clean_annuity;
    close_to("clean upfront", clean, 0.018566047, 1e-9);
    close_to("cash settlement", (clean - 0.05 * value.accrued) * NOTIONAL, 57882.69024, 1e-2);
}

/// Where the sheets' credit curves bend.
const CREDIT_DATES: [(i64, i64, i64); 7] =
    [(20, 6, 2013), (20, 9, 2013), (20, 3, 2014), (20, 3, 2015), (20, 3, 2016), (20, 3, 2018), (20, 3, 2023)];

/// One line of a comparison sheet: dates, hazard accumulated to each of [`CREDIT_DATES`], spread, and what the ISDA code made of it.
struct Line {
    today: (i64, i64, i64),
    hazard: [f64; 7],
    start: (i64, i64, i64),
    end: (i64, i64, i64),
    spread_bp: f64,
    premium_leg: f64,
    protection_leg: f64,
    default_accrual: f64,
    accrued_premium: f64,
}

impl Line {
    #[track_caller]
    fn check(&self, rate: f64) {
        let today = date(self.today);
        let knots = CREDIT_DATES.iter().zip(self.hazard).map(|(day, hazard)| (date(*day).years_since(today), hazard));
        let Value { protection, clean_annuity, accrual_on_default, accrued } =
            swap(today, date(self.start), date(self.end)).value(&Curve::flat(rate), &Curve::through(knots.collect()));
        let premium = self.spread_bp / 10_000.0 * NOTIONAL;
        close_to("premium leg", premium * clean_annuity, self.premium_leg, 1e-4);
        close_to("protection leg", NOTIONAL * protection, self.protection_leg, 1e-4);
        close_to("accrual on default", premium * accrual_on_default, self.default_accrual, 1e-5);
        close_to("accrued premium", premium * accrued, self.accrued_premium, 1e-8);
    }
}

/// `IsdaModelDatasets.getExample1` of OpenGamma Strata: output of the ISDA C code without interest, curve given as survival probabilities.
#[test]
fn legs_without_interest_are_those_of_the_isda_code() {
    let survival = [
        0.996810615509364,
        0.99256914801695,
        0.981114953972081,
        0.947234616931817,
        0.898378314399555,
        0.689993952066726,
        0.0366572089666166,
    ];
    let line = Line {
        today: (2, 2, 2013),
        hazard: survival.map(|probability: f64| -probability.ln()),
        start: (12, 9, 2012),
        end: (4, 7, 2018),
        spread_bp: 100.0,
        premium_leg: 483704.040209604,
        protection_leg: 2508592.58471593,
        default_accrual: 5497.55738374288,
        accrued_premium: 8333.33333333325,
    };
    line.check(0.0);
}

/// Lines of `isda_comparison_sheets/yield_curve_flat_5pc.csv` of OpenGamma Strata: output of the ISDA C code at a flat 5 %.
#[test]
#[rustfmt::skip]
fn legs_at_five_percent_are_those_of_the_isda_code() {
    let sheet = [
        Line { today: (2, 2, 2013), hazard: [0.003171442324, 0.007427375060, 0.019050740150, 0.054499400806, 0.108684758451, 0.389722277263, 5.233862706786], start: (12, 9, 2012), end: (4, 7, 2018), spread_bp: 100.0, premium_leg: 422780.485740537, protection_leg: 2403769.396912300, default_accrual: 5282.618664948, accrued_premium: 8333.333333333 },
        Line { today: (12, 10, 2012), hazard: [0.005771248280, 0.011110345208, 0.024409103739, 0.062855575977, 0.120412475912, 0.420277570005, 7.895220921027], start: (10, 5, 2012), end: (20, 10, 2013), spread_bp: 100.0, premium_leg: 99939.488190011, protection_leg: 76932.968064921, default_accrual: 178.348161556, accrued_premium: 23611.111111111 },
        Line { today: (2, 10, 2012), hazard: [0.006001936201, 0.011438147109, 0.024887342930, 0.063603677482, 0.121465136051, 0.423051007253, 8.302223137662], start: (15, 8, 2012), end: (2, 8, 2016), spread_bp: 294.0, premium_leg: 983696.104020577, protection_leg: 855933.503807833, default_accrual: 5629.718699353, accrued_premium: 40016.666666667 },
        Line { today: (9, 3, 2013), hazard: [0.002369309505, 0.006295205040, 0.017408997636, 0.051948626545, 0.105115847951, 0.380546394606, 4.784032872895], start: (9, 11, 2012), end: (18, 9, 2015), spread_bp: 173.0, premium_leg: 402655.625808738, protection_leg: 418795.170403768, default_accrual: 1558.345971551, accrued_premium: 39405.555555556 },
        Line { today: (21, 6, 2012), hazard: [0.008372214952, 0.014815926300, 0.029828015691, 0.071354635425, 0.132398104680, 0.452166552194, 18.957095678822], start: (19, 4, 2012), end: (5, 4, 2017), spread_bp: 748.0, premium_leg: 2982957.730507850, protection_leg: 1313847.084211030, default_accrual: 21291.865064564, accrued_premium: 132977.777777778 },
        Line { today: (30, 10, 2012), hazard: [0.005356408235, 0.010521279200, 0.023550240924, 0.061513019653, 0.118524473877, 0.415316153252, 7.266069494888], start: (19, 10, 2012), end: (28, 12, 2019), spread_bp: 90.0, premium_leg: 413578.930476054, protection_leg: 4390894.938168350, default_accrual: 8286.080955907, accrued_premium: 3000.0 },
        Line { today: (3, 3, 2013), hazard: [0.002505747472, 0.006487645681, 0.017687875502, 0.052381610459, 0.105721296378, 0.382099098779, 4.853750336548], start: (27, 11, 2012), end: (21, 4, 2019), spread_bp: 606.0, premium_leg: 2669641.487174640, protection_leg: 3550799.067375250, default_accrual: 47111.103886037, accrued_premium: 70700.0 },
        Line { today: (24, 3, 2013), hazard: [0.002023463894, 0.005807668737, 0.016702823928, 0.050852815863, 0.103584233854, 0.376625703880, 4.617919422497], start: (6, 3, 2013), end: (5, 9, 2022), spread_bp: 555.0, premium_leg: 2549334.136264880, protection_leg: 4576679.143456970, default_accrual: 54125.781069255, accrued_premium: 29291.666666667 },
        Line { today: (12, 9, 2012), hazard: [0.006463922995, 0.012095110545, 0.025846452922, 0.065105134559, 0.123579198268, 0.428636557362, 9.277249222043], start: (13, 7, 2012), end: (10, 5, 2016), spread_bp: 658.0, premium_leg: 2122280.554594280, protection_leg: 718054.000262663, default_accrual: 10674.906368924, accrued_premium: 62144.444444444 },
        Line { today: (27, 5, 2012), hazard: [0.008945327900, 0.015635325593, 0.031030078956, 0.073246642527, 0.135074231691, 0.459381438573, 28.251908680133], start: (16, 5, 2012), end: (20, 7, 2012), spread_bp: 247.0, premium_leg: 36712.423733719, protection_leg: 7421.566105458, default_accrual: 33.489465668, accrued_premium: 8233.333333333 },
        Line { today: (9, 3, 2013), hazard: [0.002368840088, 0.006294544410, 0.017408041900, 0.051947144735, 0.105113777494, 0.380541092777, 4.783798955419], start: (19, 12, 2012), end: (1, 1, 2020), spread_bp: 397.0, premium_leg: 1785898.868823420, protection_leg: 4058301.509402320, default_accrual: 34286.755691224, accrued_premium: 74988.888888889 },
    ];
    for line in sheet {
        line.check(0.05);
    }
}

/// "Standard CDS Examples", supporting document of the ISDA model, table 1: a 1y 36 million 100 bp swap traded in February 2009.
#[test]
fn coupons_are_those_of_the_standard_contract() {
    let premium = Premium::quarterly(date((22, 12, 2008)), date((20, 3, 2010))).unwrap();
    let found: Vec<_> = premium.left(date((2, 2, 2009))).map(|period| (period.days(), period.payment)).collect();
    let published =
        [(88, (20, 3, 2009)), (94, (22, 6, 2009)), (91, (21, 9, 2009)), (91, (21, 12, 2009)), (90, (22, 3, 2010))];
    assert_eq!(found, published.map(|(days, payment)| (days, date(payment))));
    assert_eq!(36e6 * 0.01 / 360.0 * found[0].0 as f64, 88_000.0);
}
