use std::fmt::Write;

use super::{Markup, escape};

/// Bars over time, drawn on the server: a picture with a name, and the same numbers as a table behind it.
#[derive(Debug, Clone)]
pub(crate) struct Chart {
    /// A name that no other chart of the page has.
    pub id: String,
    pub title: String,
    /// What the picture says, in one sentence.
    pub summary: String,
    /// What a bar's parts are called, from the bottom up.
    pub parts: Vec<Part>,
    pub bars: Vec<Bar>,
    /// What the values count.
    pub unit: Unit,
}

/// What the values of a chart count, by which they are written in the table and on the scale.
#[derive(Debug, Clone)]
pub(crate) enum Unit {
    Pieces,
    Milliseconds,
    /// The smallest unit of a currency that has so many decimals.
    Money {
        decimals: usize,
        currency: String,
    },
}

impl Unit {
    pub(crate) fn write(&self, value: &u64) -> String {
        match self {
            Self::Pieces => super::number(value),
            Self::Milliseconds => super::duration_ms(value),
            Self::Money { decimals, currency } => {
                let digits = format!("{value:0>width$}", width = decimals + 1);
                let (whole, fraction) = digits.split_at(digits.len() - decimals);
                let point = if fraction.is_empty() { "" } else { "." };
                super::amount(&format!("{whole}{point}{fraction}"), currency)
            }
        }
    }
}

/// One part of each bar.
#[derive(Debug, Clone)]
pub(crate) struct Part {
    pub label: &'static str,
    /// The class that colours it.
    pub class: &'static str,
}

/// One bar.
#[derive(Debug, Clone)]
pub(crate) struct Bar {
    pub label: String,
    /// One value for each part.
    pub values: Vec<u64>,
}

const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 120.0;

impl Chart {
    /// The largest bar.
    pub(crate) fn top(&self) -> u64 {
        self.bars.iter().map(|bar| bar.values.iter().sum()).max().unwrap_or(0)
    }

    /// The top of the scale in words.
    pub(crate) fn top_label(&self) -> String {
        self.unit.write(&self.top())
    }

    /// A value in words.
    pub(crate) fn word(&self, value: &u64) -> String {
        self.unit.write(value)
    }

    pub(crate) fn first_label(&self) -> &str {
        self.bars.first().map_or("", |bar| &bar.label)
    }

    pub(crate) fn last_label(&self) -> &str {
        self.bars.last().map_or("", |bar| &bar.label)
    }

    /// The picture.
    pub(crate) fn svg(&self) -> Markup {
        let mut svg = format!(
            r#"<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" aria-labelledby="{0}-title {0}-desc"><title id="{0}-title">{1}</title><desc id="{0}-desc">{2}</desc>"#,
            self.id,
            escape(&self.title),
            escape(&self.summary)
        );
        for line in [0.5, HEIGHT / 2.0, HEIGHT - 0.5] {
            let _ = write!(svg, r#"<path class="grid" d="M0 {line}H{WIDTH}"/>"#);
        }
        let top = as_f64(self.top().max(1));
        let slot = WIDTH / as_f64(self.bars.len().max(1) as u64);
        for (at, bar) in self.bars.iter().enumerate() {
            let x = as_f64(at as u64) * slot + slot * 0.15;
            let mut y = HEIGHT;
            for (part, value) in self.parts.iter().zip(&bar.values) {
                let height = as_f64(*value) / top * (HEIGHT - 6.0);
                if height > 0.0 {
                    y -= height;
                    let _ = write!(
                        svg,
                        r#"<rect class="{}" x="{x:.1}" y="{y:.1}" width="{:.1}" height="{height:.1}"/>"#,
                        part.class,
                        slot * 0.7
                    );
                }
            }
        }
        svg.push_str("</svg>");
        Markup(svg)
    }
}

#[expect(clippy::cast_precision_loss, reason = "a picture needs no more than 52 bits")]
fn as_f64(value: u64) -> f64 {
    value as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_written_with_the_decimals_of_its_currency() {
        for (minor, decimals, written) in
            [(123_456, 2, "1,234.56 EUR"), (5, 2, "0.05 EUR"), (1_000, 0, "1,000 EUR"), (7, 3, "0.007 EUR")]
        {
            let unit = Unit::Money { decimals, currency: "EUR".to_owned() };
            assert_eq!(unit.write(&minor), written);
        }
    }
}
