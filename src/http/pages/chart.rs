//! Stacked bars over time: their places in an inline SVG, and the same in words. Pure.
//!
//! The SVG holds the bars alone and is stretched to its frame; labels are text beside it,
//! so that they can be read at any width.

use super::words::length;

/// How wide a bar's place is, and the bar in it; and how high the whole is.
const PLACE: f64 = 10.0;
const BAR: f64 = 7.0;
const HEIGHT: f64 = 100.0;

/// One kind of what is counted.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// In the legend.
    pub(super) name: &'static str,
    /// Of the style.
    pub(super) class: &'static str,
    /// One for each bar; none if nobody can tell.
    pub(super) values: Vec<Option<f64>>,
    /// It tells how far the bar reaches, with all parts below it, and not this part alone.
    pub(super) reaches: bool,
}

/// How a number is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Count,
    Seconds,
}

/// All that a template needs.
#[derive(Debug, Clone)]
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// What it shows, for who can't see it.
    pub(super) about: String,
    /// What the first column of its table is.
    pub(super) over: &'static str,
    pub(super) legend: Vec<(&'static str, &'static str)>,
    pub(super) columns: Vec<Column>,
    /// At the top and in the middle of the scale.
    pub(super) marks: [String; 2],
    /// Below the first bar, the middle and the last.
    pub(super) ends: [String; 3],
    pub(super) is_empty: bool,
}

/// One bar.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) label: String,
    /// All of it in words.
    pub(super) told: String,
    /// Where its place begins.
    pub(super) x: f64,
    pub(super) parts: Vec<Part>,
    /// One for each series.
    pub(super) cells: Vec<String>,
}

/// A part of a bar.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    pub(super) class: &'static str,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) height: f64,
}

impl Unit {
    fn tell(self, value: f64) -> String {
        match self {
            Self::Count => format!("{value:.0}"),
            Self::Seconds => length(std::time::Duration::from_secs_f64(value.max(0.0))),
        }
    }
}

impl Chart {
    /// Bars with these labels, each of a part of every series on top of the one before.
    pub(super) fn new(
        (id, title, over): (&'static str, &'static str, &'static str),
        labels: &[String],
        series: &[Series],
        unit: Unit,
    ) -> Self {
        let value = |series: &Series, index: usize| series.values.get(index).copied().flatten();
        let sum = |index| -> f64 {
            let values = series.iter().filter_map(|series| value(series, index));
            values.sum()
        };
        let highest = (0..labels.len()).map(sum).fold(0.0, f64::max);
        let scale = scale(highest, unit);
        let columns = labels.iter().enumerate().map(|(index, label)| {
            let values: Vec<Option<f64>> = series.iter().map(|one| value(one, index)).collect();
            column(index, label, series, &values, scale, unit)
        });
        let end = |index: usize| labels.get(index).cloned().unwrap_or_default();
        Self {
            id,
            title,
            about: format!(
                "{title}. {} bars; the highest is {}.",
                labels.len(),
                unit.tell(highest)
            ),
            over,
            legend: series.iter().map(|one| (one.class, one.name)).collect(),
            columns: columns.collect(),
            marks: [unit.tell(scale), unit.tell(scale / 2.0)],
            ends: [
                end(0),
                end(labels.len() / 2),
                end(labels.len().saturating_sub(1)),
            ],
            is_empty: highest <= 0.0,
        }
    }

    /// Of the SVG.
    #[expect(clippy::cast_precision_loss, reason = "there are few bars")]
    pub(super) fn width(&self) -> f64 {
        self.columns.len() as f64 * PLACE
    }
}

#[expect(clippy::cast_precision_loss, reason = "there are few bars")]
fn column(
    index: usize,
    label: &str,
    series: &[Series],
    values: &[Option<f64>],
    scale: f64,
    unit: Unit,
) -> Column {
    let (x, mut below) = (index as f64 * PLACE, 0.0);
    let mut parts = Vec::new();
    for (one, value) in series.iter().zip(values) {
        let height = value.unwrap_or(0.0) / scale * HEIGHT;
        below += height;
        if height > 0.0 {
            parts.push(Part {
                class: one.class,
                x: x + (PLACE - BAR) / 2.0,
                y: HEIGHT - below,
                height,
            });
        }
    }
    let mut reached = 0.0;
    let cells = series.iter().zip(values).map(|(one, value)| {
        reached += value.unwrap_or(0.0);
        let told = value.map(|value| if one.reaches { reached } else { value });
        told.map_or_else(|| "–".to_owned(), |told| unit.tell(told))
    });
    let cells: Vec<String> = cells.collect();
    let told = series
        .iter()
        .zip(&cells)
        .map(|(one, cell)| format!("{} {cell}", one.name));
    Column {
        label: label.to_owned(),
        told: format!("{label}: {}", told.collect::<Vec<_>>().join(", ")),
        x,
        parts,
        cells,
    }
}

/// The top of the scale: a round number that is no lower.
fn scale(highest: f64, unit: Unit) -> f64 {
    // A half of it is told as well.
    let least = if unit == Unit::Count { 2.0 } else { 0.1 };
    let wanted = highest.max(least);
    let power = 10_f64.powf(wanted.log10().floor());
    let steps = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0].map(|step| step * power);
    // Half of a count is told without a fraction.
    let fits = |step: &f64| unit != Unit::Count || step % 2.0 == 0.0;
    let mut steps = steps.into_iter().filter(fits);
    let found = steps.find(|step| *step >= wanted - 1e-9);
    found.unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-6
    }

    #[test]
    fn parts_stand_on_each_other_and_the_highest_fits() {
        let series = |name, class, values: [Option<f64>; 2], reaches| Series {
            name,
            class,
            values: values.into(),
            reaches,
        };
        let series = [
            series("answered", "s1", [Some(3.0), None], false),
            series("to humans", "s2", [Some(1.0), Some(2.0)], true),
        ];
        let labels = ["08:00".to_owned(), "09:00".to_owned()];
        let chart = Chart::new(("c", "Turns", "Hour"), &labels, &series, Unit::Count);
        assert_eq!(chart.marks, ["4", "2"]);
        let [first, second] = &chart.columns[..] else {
            panic!()
        };
        assert!(near(first.parts[0].height, 75.0) && near(first.parts[0].y, 25.0));
        assert!(near(first.parts[1].height, 25.0) && near(first.parts[1].y, 0.0));
        assert_eq!(second.parts.len(), 1, "what nobody can tell is not drawn");
        assert_eq!(
            first.told, "08:00: answered 3, to humans 4",
            "as far as it reaches"
        );
        assert_eq!(second.told, "09:00: answered –, to humans 2");
        assert!(!chart.is_empty);
    }

    #[test]
    fn the_scale_is_a_round_number_and_nothing_is_told_apart_from_little() {
        for (highest, expected) in [
            (0.0, 2.0),
            (3.0, 4.0),
            (5.0, 6.0),
            (41.0, 50.0),
            (100.0, 100.0),
            (101.0, 200.0),
        ] {
            assert!(near(scale(highest, Unit::Count), expected), "{highest}");
        }
        assert!(near(scale(0.0, Unit::Seconds), 0.1));
        let none = Chart::new(("c", "Turns", "Hour"), &[], &[], Unit::Count);
        assert!(none.is_empty && none.columns.is_empty());
    }
}
