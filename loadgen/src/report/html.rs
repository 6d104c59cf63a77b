//! The page of `--html`: one file without scripts, fonts or images from elsewhere.

use std::fmt::Write;

use super::json::{Percentiles, Point, Summary};

/// Renders the whole page.
pub(crate) fn page(summary: &Summary) -> String {
    let verdict = if summary.clean {
        ("clean", "clean")
    } else {
        ("bad", "not clean")
    };
    let mut out = format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content='width=device-width'>\
         <title>loadgen {workload}</title><style>{STYLE}</style>\
         <h1>{workload} <span class={class}>{word}</span></h1>\
         <p><code>loadgen {command}</code></p><p>{when} UTC, loadgen {version}</p>",
        workload = escape(&summary.workload),
        class = verdict.0,
        word = verdict.1,
        command = escape(&summary.command.join(" ")),
        when = escape(&summary.ended),
        version = summary.loadgen,
    );
    figures(summary, &mut out);
    latencies(summary, &mut out);
    let unit = escape(&summary.unit);
    let rate: Vec<f64> = summary
        .timeline
        .iter()
        .map(|p| p.operations_per_second)
        .collect();
    chart(
        &format!("{unit}s a second"),
        &summary.timeline,
        &rate,
        &mut out,
    );
    let worst: Vec<f64> = summary.timeline.iter().map(|p| p.max_ms).collect();
    chart("longest latency, ms", &summary.timeline, &worst, &mut out);
    verdicts(summary, &mut out);
    out
}

fn figures(summary: &Summary, out: &mut String) {
    let unit = &summary.unit;
    let mut rows = vec![
        (format!("{unit}s"), summary.operations.to_string()),
        (
            format!("{unit}s a second"),
            format!("{:.1}", summary.operations_per_second),
        ),
        ("measured, s".to_owned(), format!("{:.2}", summary.seconds)),
        ("sessions".to_owned(), summary.sessions.to_string()),
    ];
    if let Some(server) = &summary.server {
        rows.extend([
            (
                format!("server CPU a {unit}, µs"),
                format!("{:.2}", server.cpu_us_per_operation),
            ),
            ("server, cores".to_owned(), format!("{:.2}", server.cores)),
            (
                "server memory, MB".to_owned(),
                format!("{:.1}", server.rss_bytes as f64 / 1e6),
            ),
            (
                "server memory a session, kB".to_owned(),
                format!("{:.2}", server.rss_bytes_per_session / 1e3),
            ),
        ]);
    }
    let client = format!("{:.2}", summary.client_cpu_us_per_operation);
    rows.push((format!("client CPU a {unit}, µs"), client));
    let machine = &summary.machine;
    rows.push((
        "stolen time, %".to_owned(),
        format!("{:.2}", machine.steal_percent),
    ));
    rows.push((
        "cores busy with others".to_owned(),
        format!("{:.2}", machine.others_cores),
    ));
    rows.extend(
        summary
            .notes
            .iter()
            .map(|(k, v)| (k.clone(), format!("{v:.3}"))),
    );
    table(
        &["figure", "value"],
        rows.into_iter().map(|(k, v)| vec![k, v]),
        out,
    );
}

fn latencies(summary: &Summary, out: &mut String) {
    out.push_str("<h2>Latency, ms</h2>");
    let all = summary.latency.iter().map(|(name, p)| percentiles(name, p));
    let targets = summary.targets.iter().filter(|_| summary.targets.len() > 1);
    let rows = all.chain(targets.map(|(name, target)| percentiles(name, &target.latency)));
    table(
        &["", "count", "mean", "p50", "p90", "p99", "p99.9", "max"],
        rows,
        out,
    );
}

fn percentiles(name: &str, p: &Percentiles) -> Vec<String> {
    let values = [p.mean_ms, p.p50_ms, p.p90_ms, p.p99_ms, p.p999_ms, p.max_ms];
    let head = [name.to_owned(), p.count.to_string()];
    head.into_iter()
        .chain(values.iter().map(|v| format!("{v:.3}")))
        .collect()
}

fn verdicts(summary: &Summary, out: &mut String) {
    let _ = write!(
        out,
        "<h2>What arrived</h2><p>{} sent, {} received</p>",
        summary.sent, summary.received
    );
    let faults = summary
        .faults
        .rows()
        .into_iter()
        .map(|(name, n)| (name.to_owned(), n));
    let rows = faults.chain(summary.failures.iter().map(|(why, n)| (why.clone(), *n)));
    table(
        &["fault", "count"],
        rows.map(|(name, n)| vec![name, n.to_string()]),
        out,
    );
}

fn table(head: &[&str], rows: impl Iterator<Item = Vec<String>>, out: &mut String) {
    out.push_str("<table><tr>");
    for name in head {
        let _ = write!(out, "<th>{}", escape(name));
    }
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = write!(out, "<td>{}", escape(&cell));
        }
    }
    out.push_str("</table>");
}

/// A line over time as inline SVG; long runs are drawn with the largest value of each pixel.
fn chart(title: &str, points: &[Point], values: &[f64], out: &mut String) {
    let (Some(last), true) = (points.last(), values.len() > 1) else {
        return;
    };
    let top = values.iter().copied().fold(0.0, f64::max).max(1e-9);
    let step = values.len().div_ceil(COLUMNS);
    let columns: Vec<f64> = values
        .chunks(step)
        .map(|c| c.iter().copied().fold(0.0, f64::max))
        .collect();
    let width = 1.0 / (columns.len() - 1).max(1) as f64;
    let _ = write!(
        out,
        "<h2>{title}</h2><svg viewBox='0 0 800 200' role=img><title>{title}</title>\
         <path class=axis d='M60 10V170H790'/><text x=55 y=16 class=y>{}</text>\
         <text x=55 y=172 class=y>0</text><text x=60 y=190>0 s</text>\
         <text x=790 y=190 class=y>{:.1} s</text><polyline points='",
        short(top),
        last.at_s
    );
    for (index, value) in columns.iter().enumerate() {
        let (x, y) = (
            60.0 + 730.0 * width * index as f64,
            170.0 - 160.0 * value / top,
        );
        let _ = write!(out, "{x:.1},{y:.1} ");
    }
    out.push_str("'/></svg>");
}

/// A number with as many digits as the end of an axis needs.
fn short(value: f64) -> String {
    match value {
        100.0.. => format!("{value:.0}"),
        1.0..100.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn escape(text: &str) -> String {
    crate::client::stanza::escape(text)
}

const COLUMNS: usize = 730;
const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:54rem;margin:2rem auto;\
    padding:0 1rem;color:#222;background:#fff}table{border-collapse:collapse}\
    td,th{padding:.2rem .8rem;border-bottom:1px solid #ddd;text-align:right}\
    td:first-child,th:first-child{text-align:left}svg{width:100%}code{overflow-wrap:anywhere}\
    polyline{fill:none;stroke:#0a6;stroke-width:1.5}.axis{fill:none;stroke:#999}\
    text{font-size:11px;fill:#555}.y{text-anchor:end}.clean{color:#0a6}.bad{color:#c22}\
    @media(prefers-color-scheme:dark){body{background:#111;color:#ddd}td,th{border-color:#333}}";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::coordinator::Measured;
    use crate::measure::Outcome;
    use crate::measure::process::Sample;

    fn sample_page() -> String {
        let mut outcome = Outcome::of("message");
        for ms in 0..5000 {
            let at = Duration::from_millis(ms);
            outcome.record("message", "127.0.0.1:5222", at, Duration::from_micros(ms));
        }
        outcome.fail("<script src=//evil>".to_owned());
        let idle = Sample::take(&[std::process::id()], &[]);
        let measured = Measured {
            outcome,
            begin: idle.clone(),
            end: idle.clone(),
            idle,
        };
        page(&Summary::new("messages", &measured))
    }

    #[test]
    fn the_page_refers_to_nothing_outside_itself() {
        let page = sample_page();
        for reference in [
            "http:", "https:", "src=\"", "href", "@import", "url(", "<script", "<link",
        ] {
            assert!(!page.contains(reference), "{reference} in the page");
        }
    }

    #[test]
    fn the_ends_of_axes_are_short() {
        assert_eq!(
            [239_520.0, 78.749, 0.1234].map(short),
            ["239520", "78.7", "0.123"]
        );
    }

    #[test]
    fn the_page_draws_throughput_and_latency_and_says_the_verdict() {
        let page = sample_page();
        assert_eq!(page.matches("<polyline").count(), 2);
        assert!(page.contains("p99.9") && page.contains("not clean"));
        assert!(page.contains("&lt;script"));
    }
}
