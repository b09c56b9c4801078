//! Days of the proleptic Gregorian calendar, and the two habits of credit markets with them.

/// Days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Day(pub i64);

impl Day {
    /// The day of a time; the time of day is dropped.
    pub fn from_unix(seconds: u64) -> Self {
        Self((seconds / 86_400) as i64)
    }

    /// From year, month (1-12) and day of the month. (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.)
    pub fn from_civil(year: i64, month: i64, day: i64) -> Self {
        let year = if month <= 2 { year - 1 } else { year };
        let era = year.div_euclid(400);
        let year_of_era = year.rem_euclid(400);
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        Self(era * 146_097 + day_of_era - 719_468)
    }

    /// Year, month and day of the month. (The same, `civil_from_days`.)
    pub fn civil(self) -> (i64, i64, i64) {
        let shifted = self.0 + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_index = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_index + 2) / 5 + 1;
        let month = if month_index < 10 { month_index + 3 } else { month_index - 9 };
        (year_of_era + era * 400 + i64::from(month <= 2), month, day)
    }

    /// The same day of another month, or its last one if it is shorter.
    pub fn plus_months(self, months: i64) -> Self {
        let (year, month, day) = self.civil();
        let index = year * 12 + month - 1 + months;
        let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
        let next = index + 1;
        let length =
            Self::from_civil(next.div_euclid(12), next.rem_euclid(12) + 1, 1).0 - Self::from_civil(year, month, 1).0;
        Self::from_civil(year, month, day.min(length))
    }

    pub fn plus_days(self, days: i64) -> Self {
        Self(self.0 + days)
    }

    /// This day, or the Monday after if it falls on a weekend: the model knows no other holidays.
    pub fn following(self) -> Self {
        match (self.0 + 3).rem_euclid(7) {
            5 => self.plus_days(2),
            6 => self.plus_days(1),
            _ => self,
        }
    }

    /// Whole days from `earlier` to this day.
    pub fn since(self, earlier: Self) -> i64 {
        self.0 - earlier.0
    }

    /// Years from `earlier`, ACT/365 fixed: the time axis of both curves.
    pub fn years_since(self, earlier: Self) -> f64 {
        self.since(earlier) as f64 / 365.0
    }
}
