//! Measured figures and derived ratios.

use serde::Serialize;

use crate::clients::Kind;
use crate::rows::Row;
use crate::worker::Lap;

/// A row and its outcomes.
pub struct Measured {
    pub row: Row,
    pub outcomes: Vec<Outcome>,
}

/// The outcome of one client in a row.
pub struct Outcome {
    pub client: Kind,
    /// The figures, or why there are none.
    pub figures: Result<Figures, String>,
}

/// Figures of one client in a row: medians over its laps, each taken separately.
#[derive(Clone, Debug, Serialize)]
pub struct Figures {
    pub operations_per_second: f64,
    /// User and kernel time of the client's process.
    pub cpu_seconds_per_operation: f64,
    /// From the start of an operation to its end.
    pub median_latency_seconds: f64,
    /// Peak memory of the client's process.
    pub peak_bytes: u64,
    /// Memory per client, for rows that keep clients open.
    pub bytes_per_client: Option<u64>,
    pub laps: Vec<Lap>,
}

impl Figures {
    /// `None` if there are no laps.
    pub fn of(laps: Vec<Lap>) -> Option<Figures> {
        let figure = |of: &dyn Fn(&Lap) -> f64| median(laps.iter().map(of).collect());
        let per_client: Option<Vec<f64>> =
            laps.iter().map(|lap| lap.bytes_per_client.map(|bytes| bytes as f64)).collect();
        Some(Figures {
            operations_per_second: figure(&|lap| lap.operations as f64 / lap.seconds)?,
            cpu_seconds_per_operation: figure(&|lap| lap.cpu_seconds / lap.operations as f64)?,
            median_latency_seconds: figure(&|lap| lap.median_seconds)?,
            peak_bytes: laps.iter().map(|lap| lap.peak_bytes).max()?,
            bytes_per_client: per_client.and_then(median).map(|bytes| bytes as u64),
            laps,
        })
    }
}

/// A client relative to the best native one, by CPU time and by operations per second. The best client may differ between
/// the two.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Ratios {
    /// Above 1: uses more.
    pub cpu: f64,
    /// Above 1: does more.
    pub operations: f64,
}

impl Measured {
    pub fn figures(&self, client: Kind) -> Option<&Figures> {
        self.outcomes.iter().find(|outcome| outcome.client == client)?.figures.as_ref().ok()
    }

    /// Ratios to the best native client; for a native client, to the best of the others.
    pub fn ratios(&self, client: Kind) -> Option<Ratios> {
        let own = self.figures(client)?;
        let natives = || {
            let natives = self.outcomes.iter().filter(|outcome| outcome.client.is_native() && outcome.client != client);
            natives.filter_map(|outcome| outcome.figures.as_ref().ok())
        };
        let cpu = natives().map(|figures| figures.cpu_seconds_per_operation).min_by(f64::total_cmp)?;
        let operations = natives().map(|figures| figures.operations_per_second).max_by(f64::total_cmp)?;
        Some(Ratios { cpu: own.cpu_seconds_per_operation / cpu, operations: own.operations_per_second / operations })
    }
}

/// The middle value, or the mean of the two middle values.
fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[values.len() / 2 - 1] + upper) / 2.0 })
}

#[cfg(test)]
mod tests {
    use super::{Figures, Measured, Outcome, median};
    use crate::clients::Kind;
    use crate::rows::all;
    use crate::worker::Lap;

    fn outcome(client: Kind, seconds: f64, cpu_seconds: f64) -> Outcome {
        let lap = |seconds| Lap {
            operations: 100,
            seconds,
            cpu_seconds,
            median_seconds: seconds / 100.0,
            peak_bytes: 1,
            bytes_per_client: None,
        };
        // One outlier.
        let laps = vec![lap(seconds), lap(seconds), lap(20.0 * seconds)];
        Outcome { client, figures: Figures::of(laps).ok_or_else(String::new) }
    }

    #[test]
    fn ratios_compare_with_the_best_native_client_per_measure() {
        let outcomes = vec![
            outcome(Kind::Sandbucket, 4.0, 2.0),
            outcome(Kind::ObjectStore, 2.0, 4.0),
            outcome(Kind::AwsSdkS3, 8.0, 1.0),
            outcome(Kind::Hyper, 0.5, 0.25),
        ];
        let Some(row) = all().into_iter().next() else { panic!("there are rows") };
        let measured = Measured { row, outcomes };
        let ratios = measured.ratios(Kind::Sandbucket).expect("ratios");
        assert_eq!((ratios.cpu, ratios.operations), (2.0, 0.5));
        let ratios = measured.ratios(Kind::ObjectStore).expect("ratios");
        assert_eq!((ratios.cpu, ratios.operations), (4.0, 4.0));
        assert!(measured.ratios(Kind::OpenDal).is_none());
    }

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }
}
