//! Figures with three significant digits and a unit.

/// Seconds.
pub fn time(seconds: f64) -> String {
    scaled(seconds, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])
}

/// Bytes.
pub fn size(bytes: f64) -> String {
    const KIB: f64 = 1024.0;
    scaled(bytes, &[(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB"), (1.0, "B")])
}

/// Bytes per second.
pub fn rate(bytes: f64) -> String {
    format!("{}/s", size(bytes))
}

/// A count, which may be below 1.
pub fn count(number: f64) -> String {
    if number >= 1000.0 { crate::rows::thousands(number.round() as u64) } else { digits(number) }
}

/// Uses the largest unit that the value reaches, otherwise the smallest.
fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    let unit = units.iter().find(|(scale, _)| value >= *scale).or(units.last());
    unit.map_or_else(String::new, |(scale, name)| format!("{} {name}", digits(value / scale)))
}

fn digits(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
