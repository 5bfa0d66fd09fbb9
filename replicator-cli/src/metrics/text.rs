//! The text of a metrics file: gauges only, in a form that is both `OpenMetrics` and the text format
//! of Prometheus, which `node_exporter` reads.

use std::collections::BTreeMap;
use std::fmt::{Display, Write};

/// The names and values of the labels of a sample.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// A metrics file that is being written.
#[derive(Debug, Default)]
pub(super) struct MetricsText(String);

impl MetricsText {
    /// Begins a metric. Its samples must follow.
    pub(super) fn gauge(&mut self, name: &str, help: &str) {
        self.line(&format!("# HELP {name} {help}"));
        self.line(&format!("# TYPE {name} gauge"));
    }

    /// Adds a sample of the metric that was begun last.
    pub(super) fn sample(&mut self, name: &str, labels: &Labels<'_>, value: impl Display) {
        self.line(&format!("{} {value}", series(name, labels)));
    }

    /// Adds a line as it is.
    pub(super) fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// The complete text.
    pub(super) fn finish(mut self) -> String {
        self.line("# EOF");
        self.0
    }
}

/// A metric with its labels, which identifies a value among all others.
pub(super) fn series(name: &str, labels: &Labels<'_>) -> String {
    let mut text = format!("{name}{{");
    for (index, (label, value)) in labels.iter().enumerate() {
        let separator = if index == 0 { "" } else { "," };
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(text, "{separator}{label}=\"{value}\"");
    }
    text + "}"
}

/// The samples of an earlier metrics file, each with its value.
#[derive(Debug, Default)]
pub(super) struct Earlier(BTreeMap<String, String>);

impl Earlier {
    /// Reads the samples of a metrics file. Lines of another form are left out.
    pub(super) fn read(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.filter_map(|line| line.rsplit_once(' '));
        let is_number = |value: &str| value.parse::<f64>().is_ok();
        let samples = samples.filter(|(series, value)| series.ends_with('}') && is_number(value));
        Self(samples.map(|(series, value)| (series.to_owned(), value.to_owned())).collect())
    }

    /// The value of a sample.
    pub(super) fn value(&self, series: &str) -> Option<&str> {
        self.0.get(series).map(String::as_str)
    }

    /// The lines of all samples of a metric.
    pub(super) fn lines(&self, name: &str) -> impl Iterator<Item = String> {
        let start = format!("{name}{{");
        let samples = self.0.iter().filter(move |(series, _)| series.starts_with(&start));
        samples.map(|(series, value)| format!("{series} {value}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_values_are_escaped_and_read_again() {
        let labels = vec![("source", "a \"b\" \\ \n c"), ("target", "{x} 1")];
        let mut text = MetricsText::default();
        text.gauge("m", "Some help");
        text.sample("m", &labels, 1.5);
        let text = text.finish();
        let expected = "# HELP m Some help\n# TYPE m gauge\n\
                        m{source=\"a \\\"b\\\" \\\\ \\n c\",target=\"{x} 1\"} 1.5\n# EOF\n";
        assert_eq!(text, expected);
        assert_eq!(Earlier::read(&text).value(&series("m", &labels)), Some("1.5"));
    }

    #[test]
    fn only_samples_of_an_earlier_file_are_read() {
        let text = "garbage\nm{a=\"1\"} 5\nm{a=\"2\"} x\nmore{a=\"3\"} 1\n m 1\n\u{0}\n";
        let earlier = Earlier::read(text);
        assert_eq!(earlier.lines("m").collect::<Vec<_>>(), ["m{a=\"1\"} 5"]);
    }
}
