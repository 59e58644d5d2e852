//! What was measured: for each figure one value a round, beside its baselines.
//!
//! A value that can't be had on this system is left out; a figure without any
//! says so.

use std::fmt;

use serde_json::{Map, Value, json};

/// The figures of one bench.
#[derive(Debug, Clone)]
pub struct Section {
    /// Its name, as in the command.
    pub name: &'static str,
    figures: Vec<Figure>,
}

/// One figure.
#[derive(Debug, Clone)]
pub(super) struct Figure {
    key: String,
    what: String,
    unit: &'static str,
    rounds: Vec<f64>,
    beside: Vec<Baseline>,
    cores: Vec<Baseline>,
}

/// What a figure is to be held against.
#[derive(Debug, Clone)]
struct Baseline {
    key: &'static str,
    rounds: Vec<f64>,
}

impl Section {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            figures: Vec::new(),
        }
    }

    /// Adds a round's value to the figure with this key.
    pub(super) fn add(
        &mut self,
        key: impl Into<String>,
        what: impl Into<String>,
        unit: &'static str,
        value: impl Into<Option<f64>>,
    ) -> &mut Figure {
        let key = key.into();
        let found = self.figures.iter().position(|figure| figure.key == key);
        let index = found.unwrap_or_else(|| {
            self.figures.push(Figure {
                key,
                what: what.into(),
                unit,
                rounds: Vec::new(),
                beside: Vec::new(),
                cores: Vec::new(),
            });
            self.figures.len() - 1
        });
        self.figures[index].rounds.extend(value.into());
        &mut self.figures[index]
    }

    /// As JSON: an object a figure.
    pub fn to_json(&self) -> Value {
        let figures = self.figures.iter();
        let figures: Map<String, Value> = figures
            .map(|figure| (figure.key.clone(), figure.to_json()))
            .collect();
        Value::Object(figures)
    }
}

impl Figure {
    /// Adds a round's value of a baseline.
    pub(super) fn beside(&mut self, key: &'static str, value: impl Into<Option<f64>>) -> &mut Self {
        Baseline::add(&mut self.beside, key, value.into());
        self
    }

    /// Adds how many of the machine's cores something used in a round.
    pub(super) fn taking(&mut self, key: &'static str, cores: impl Into<Option<f64>>) -> &mut Self {
        Baseline::add(&mut self.cores, key, cores.into());
        self
    }

    fn to_json(&self) -> Value {
        let mut shown = json!({ "unit": self.unit, "rounds": self.rounds });
        let spread = Spread::of(&self.rounds);
        shown["median"] = json!(spread.map(|spread| spread.median));
        shown["least"] = json!(spread.map(|spread| spread.least));
        shown["most"] = json!(spread.map(|spread| spread.most));
        for baseline in &self.beside {
            let median = Spread::of(&baseline.rounds).map(|spread| spread.median);
            shown["beside"][baseline.key] = json!({
                "rounds": baseline.rounds, "median": median, "ratio": self.ratio(baseline),
            });
        }
        for part in &self.cores {
            let median = Spread::of(&part.rounds).map(|spread| spread.median);
            shown["cores"][part.key] = json!({ "rounds": part.rounds, "median": median });
        }
        shown
    }

    fn ratio(&self, baseline: &Baseline) -> Option<f64> {
        let of = Spread::of(&baseline.rounds)?.median;
        let ratio = Spread::of(&self.rounds)?.median / of;
        ratio.is_finite().then_some(ratio)
    }

    fn line(&self) -> String {
        let what = format!("{}, {}", self.what, self.unit);
        let what = what.trim_end_matches([',', ' ']);
        let value = match Spread::of(&self.rounds) {
            Some(spread) => spread.to_string(),
            None => "not measured here".to_owned(),
        };
        let beside = self.beside.iter().map(|baseline| {
            let name = baseline.key.replace('_', " ");
            let Some(spread) = Spread::of(&baseline.rounds) else {
                return format!("{name}: not measured here");
            };
            let ratio = self
                .ratio(baseline)
                .map(|ratio| format!(" (×{})", short(ratio)));
            format!(
                "{name} {}{}",
                short(spread.median),
                ratio.unwrap_or_default()
            )
        });
        let cores = self.cores.iter().map(|part| {
            let used = Spread::of(&part.rounds).map(|spread| short(spread.median));
            let used = used.unwrap_or_else(|| "not measured here".to_owned());
            format!("{} {used}", part.key.replace('_', " "))
        });
        let cores: Vec<String> = cores.collect();
        let cores = (!cores.is_empty()).then(|| format!("cores: {}", cores.join(", ")));
        let beside: Vec<String> = beside.chain(cores).collect();
        let line = format!("  {what:<52} {value:<28} {}", beside.join(", "));
        line.trim_end().to_owned()
    }
}

impl Baseline {
    fn add(all: &mut Vec<Self>, key: &'static str, value: Option<f64>) {
        let found = all.iter().position(|other| other.key == key);
        let index = found.unwrap_or_else(|| {
            let rounds = Vec::new();
            all.push(Self { key, rounds });
            all.len() - 1
        });
        all[index].rounds.extend(value);
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = format!("{:<54} median (least – most)", self.name);
        write!(f, "{head:<83} beside")?;
        for figure in &self.figures {
            write!(f, "\n{}", figure.line())?;
        }
        Ok(())
    }
}

/// The middle and the ends of some rounds.
#[derive(Debug, Clone, Copy)]
struct Spread {
    median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    fn of(rounds: &[f64]) -> Option<Self> {
        let mut rounds = rounds.to_vec();
        rounds.sort_unstable_by(f64::total_cmp);
        let (least, most) = (*rounds.first()?, *rounds.last()?);
        let middle = rounds.len() / 2;
        let median = if rounds.len() % 2 == 1 {
            rounds[middle]
        } else {
            f64::midpoint(rounds[middle - 1], rounds[middle])
        };
        Some(Self {
            median,
            least,
            most,
        })
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", short(self.median))?;
        if self.least < self.most {
            write!(f, " ({} – {})", short(self.least), short(self.most))?;
        }
        Ok(())
    }
}

/// With three digits or so; more says nothing.
fn short(value: f64) -> String {
    let decimals = match value.abs() {
        size if size >= 100.0 || size.fract() == 0.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.decimals$}")
}

/// The value below which this share of sorted ones lies.
pub(super) fn percentile(sorted: &[f64], percent: usize) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    sorted.get(last * percent / 100).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_of_its_rounds_beside_that_of_its_baseline() {
        let mut section = Section::new("ack");
        for (value, bare) in [(30.0, 100.0), (10.0, 400.0), (20.0, 200.0)] {
            let figure = section.add("rate", "acks", "1/s", value);
            figure.beside("bare_handler", bare);
        }
        let shown = section.to_json();
        assert_eq!(shown["rate"]["median"], 20.0);
        assert_eq!(shown["rate"]["least"], 10.0);
        assert_eq!(shown["rate"]["most"], 30.0);
        assert_eq!(shown["rate"]["beside"]["bare_handler"]["ratio"], 0.1);
        let table = section.to_string();
        assert!(table.contains("acks, 1/s"), "{table}");
        assert!(table.contains("20 (10 – 30)"), "{table}");
        assert!(table.contains("bare handler 200 (×0.100)"), "{table}");
    }

    #[test]
    fn a_figure_tells_what_it_took_of_the_machine() {
        let mut section = Section::new("reach");
        for (rate, cores) in [(10.0, 0.5), (30.0, 1.5), (20.0, 1.25)] {
            let figure = section.add("acks", "acks", "1/s", rate);
            figure.taking("relays", cores).taking("database", None);
        }
        let shown = section.to_json();
        assert_eq!(shown["acks"]["cores"]["relays"]["median"], 1.25);
        assert_eq!(shown["acks"]["cores"]["database"]["median"], Value::Null);
        let table = section.to_string();
        assert!(
            table.contains("cores: relays 1.25, database not measured here"),
            "{table}"
        );
    }

    #[test]
    fn what_was_not_measured_says_so() {
        let mut section = Section::new("relay");
        section.add("memory", "memory", "MiB", None);
        assert!(section.to_string().contains("not measured here"));
        assert_eq!(section.to_json()["memory"]["median"], Value::Null);
    }

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let hundred: Vec<f64> = (1..=101).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50), Some(51.0));
        assert_eq!(percentile(&hundred, 99), Some(100.0));
        assert_eq!(percentile(&[7.0], 99), Some(7.0));
        assert_eq!(percentile(&[], 50), None);
    }
}
