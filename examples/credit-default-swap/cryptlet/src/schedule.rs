//! When a swap pays premium: every quarter, counted back from maturity, with a short first period.

use crate::date::Day;
use cryptlet_sdk::{Result, ensure};

/// Longest swap that is valued, in quarters: 100 years.
const PERIODS_MAX: usize = 400;

/// One premium period. The premium is `coupon * days() / 360`, paid at its end if the reference entity survived it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First day that counts.
    pub start: Day,
    /// First day that does not.
    pub end: Day,
    /// When it is paid.
    pub payment: Day,
}

impl Period {
    pub fn days(&self) -> i64 {
        self.end.since(self.start)
    }
}

/// The premium leg's periods, in order; never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Premium {
    periods: Vec<Period>,
}

impl Premium {
    /// From the first day of accrual to the last day of protection. For the standard contract `maturity` is the 20th of March, June,
    /// September or December. Period ends that fall on a weekend move to Monday, the last one does not, and counts as well.
    pub fn quarterly(effective: Day, maturity: Day) -> Result<Self> {
        ensure!(effective < maturity, "the swap's last day is not after its first day");
        let mut ends = vec![maturity];
        for quarter in 1.. {
            let end = maturity.plus_months(-3 * quarter);
            if end <= effective {
                break;
            }
            ends.push(end);
            ensure!(ends.len() <= PERIODS_MAX, "the swap runs for more than {PERIODS_MAX} quarters");
        }
        let mut start = effective;
        let mut periods: Vec<Period> = Vec::with_capacity(ends.len());
        for end in ends.into_iter().rev().map(Day::following) {
            periods.push(Period { start, end, payment: end });
            start = end;
        }
        let last = periods.last_mut().expect("maturity ends a period");
        last.end = maturity.plus_days(1);
        Ok(Self { periods })
    }

    /// Periods that still accrue on the day after `today`, from which a trade of today counts.
    pub fn left(&self, today: Day) -> impl Iterator<Item = &Period> {
        self.periods.iter().filter(move |period| period.end > today.plus_days(1))
    }

    /// Days of premium that the buyer owes at the end of `today`, counting it; none once the last premium is due.
    pub fn accrued_days(&self, today: Day) -> u64 {
        self.left(today).next().map_or(0, |period| today.plus_days(1).since(period.start)).max(0) as u64
    }

    /// Last day of protection.
    pub fn maturity(&self) -> Day {
        self.periods[self.periods.len() - 1].end.plus_days(-1)
    }
}
