//! Scales: from values to pixels, and the values worth a label. `libm`, so that a picture is the same text on every machine.

/// A scale along one edge of a panel.
pub(super) struct Axis {
    low: f64,
    high: f64,
    /// Pixels of `low` and of `high`.
    from: f64,
    to: f64,
    pub(super) logarithmic: bool,
}

/// Beyond this ratio of the greatest to the smallest value a linear scale presses the small ones together.
const LINEAR_RATIO: f64 = 20.0;
/// The smallest delay that is drawn apart from 0, in seconds.
const SHORTEST_S: f64 = 1e-4;

impl Axis {
    /// From 0 to a round number no less than `greatest`.
    pub(super) fn linear(greatest: f64, from: f64, to: f64) -> Self {
        let greatest = if greatest > 0.0 { greatest } else { 1.0 };
        let step = round_up(greatest / 4.0);
        Axis {
            low: 0.0,
            high: (greatest / step).ceil() * step,
            from,
            to,
            logarithmic: false,
        }
    }

    /// From 0 to exactly `length`.
    pub(super) fn span(length: f64, from: f64, to: f64) -> Self {
        Axis {
            low: 0.0,
            high: if length > 0.0 { length } else { 1.0 },
            from,
            to,
            logarithmic: false,
        }
    }

    /// For delays in seconds: logarithmic where they differ by much, otherwise linear from 0.
    pub(super) fn delays(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, 0.0f64);
        for value in values {
            low = low.min(value.max(SHORTEST_S));
            high = high.max(value);
        }
        if high <= low * LINEAR_RATIO {
            return Axis::linear(high, from, to);
        }
        Axis {
            low: round_down(low),
            high: round_up(high),
            from,
            to,
            logarithmic: true,
        }
    }

    /// The pixel of a value; values beyond an end are drawn at it.
    pub(super) fn at(&self, value: f64) -> f64 {
        let share = if self.logarithmic {
            let value = value.max(self.low);
            libm::log10(value / self.low) / libm::log10(self.high / self.low)
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + (self.to - self.from) * share.clamp(0.0, 1.0)
    }

    /// Round values, about five.
    pub(super) fn ticks(&self) -> Vec<f64> {
        if !self.logarithmic {
            let step = round_up(self.high / 5.0);
            return (0..=5)
                .map(|i| f64::from(i) * step)
                .filter(|value| *value <= self.high * 1.000_001)
                .collect();
        }
        let decades = libm::log10(self.high / self.low);
        let factors: &[f64] = match decades {
            d if d < 1.6 => &[1.0, 2.0, 5.0],
            d if d < 3.1 => &[1.0, 3.0],
            _ => &[1.0],
        };
        let (first, last) = (
            libm::log10(self.low).floor() as i32,
            libm::log10(self.high).ceil() as i32,
        );
        (first..=last)
            .flat_map(|power| {
                factors
                    .iter()
                    .map(move |factor| factor * libm::pow(10.0, f64::from(power)))
            })
            .filter(|value| (self.low * 0.999..=self.high * 1.001).contains(value))
            .collect()
    }
}

/// 1, 2 or 5 times a power of ten, no less.
fn round_up(value: f64) -> f64 {
    let power = libm::pow(10.0, libm::log10(value).floor());
    let factors = [1.0, 2.0, 5.0, 10.0];
    let factor = factors
        .iter()
        .find(|factor| **factor * power >= value * 0.999_999);
    factor.unwrap_or(&10.0) * power
}

/// 1, 2 or 5 times a power of ten, no greater.
fn round_down(value: f64) -> f64 {
    let power = libm::pow(10.0, libm::log10(value).floor());
    let factors = [5.0, 2.0, 1.0];
    let factor = factors
        .iter()
        .find(|factor| **factor * power <= value * 1.000_001);
    factor.unwrap_or(&1.0) * power
}

/// Three digits, as many after the point as that takes.
pub(super) fn three_digits(value: f64) -> String {
    if value <= 0.0 {
        return "0".into();
    }
    let after_point = (2 - libm::log10(value).floor() as i32).clamp(0, 6) as usize;
    let text = format!("{value:.after_point$}");
    if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.').into()
    } else {
        text
    }
}

/// A delay for people: `850 ms`, `12.3 s`.
pub(super) fn delay_text(delay_s: f64) -> String {
    // 999.7 ms would read 1000 ms.
    if delay_s == 0.0 {
        "0".into()
    } else if delay_s < 0.9995 {
        format!("{} ms", three_digits(delay_s * 1e3))
    } else {
        format!("{} s", three_digits(delay_s))
    }
}

/// The unit that a run of this length is told in, its seconds, and the step between labels in seconds.
pub(super) fn time_steps(length_s: f64) -> (&'static str, f64, f64) {
    let (unit, unit_s) = match length_s {
        s if s <= 180.0 => ("s", 1.0),
        s if s <= 3.0 * 3600.0 => ("min", 60.0),
        s if s <= 4.0 * 86_400.0 => ("h", 3600.0),
        _ => ("days", 86_400.0),
    };
    let steps: &[f64] = match unit {
        "s" | "min" => &[0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 20.0, 30.0],
        "h" => &[0.5, 1.0, 2.0, 3.0, 6.0, 12.0],
        _ => &[0.5, 1.0, 2.0, 7.0, 14.0, 30.0, 60.0],
    };
    let wanted = length_s / unit_s / 9.0;
    let step = steps.iter().find(|step| **step >= wanted);
    (unit, unit_s, step.copied().unwrap_or(wanted) * unit_s)
}
