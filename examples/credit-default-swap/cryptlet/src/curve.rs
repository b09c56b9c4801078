//! Curves with piecewise constant forward rate: discount factors, and survival probabilities.

/// Log-linear between knots, straight on beyond them. Times are years from the valuation, ACT/365.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// `(time, rate * time)`, times positive and ascending; at least one.
    knots: Vec<(f64, f64)>,
}

impl Curve {
    /// One rate for all times.
    pub fn flat(rate: f64) -> Self {
        Self { knots: vec![(1.0, rate)] }
    }

    /// Through `(time, rate * time)`, which is `-ln` of the discount factor or survival probability. Times are positive and ascending.
    pub fn through(knots: Vec<(f64, f64)>) -> Self {
        assert!(
            !knots.is_empty() && knots[0].0 > 0.0 && knots.is_sorted_by(|a, b| a.0 < b.0),
            "times ascend from above zero"
        );
        Self { knots }
    }

    /// `-ln` of the factor at a time.
    pub fn exponent(&self, time: f64) -> f64 {
        let after = self.knots.partition_point(|knot| knot.0 < time).min(self.knots.len() - 1);
        let (t1, e1) = self.knots[after];
        let (t0, e0) = if after == 0 { (0.0, 0.0) } else { self.knots[after - 1] };
        e0 + (e1 - e0) * (time - t0) / (t1 - t0)
    }

    /// Discount factor or survival probability at a time.
    pub fn factor(&self, time: f64) -> f64 {
        libm::exp(-self.exponent(time))
    }

    /// The times strictly between two others where the forward rate changes.
    pub fn bends(&self, from: f64, to: f64) -> impl Iterator<Item = f64> {
        self.knots[..self.knots.len() - 1].iter().map(|knot| knot.0).filter(move |time| from < *time && *time < to)
    }
}
