//! A bar chart: CPU time of each client relative to Sandbucket's, for a few rows.

use std::fmt::Write;

use super::units;
use crate::clients::Kind;
use crate::figures::Measured;

/// The rows in the chart, if measured, and their labels.
const HEADLINES: [(&str, &str); 9] = [
    ("put-1KiB-c16-signed", "PUT of 1 KiB, payload signed, 16 in flight"),
    ("put-1KiB-c16-unsigned", "PUT of 1 KiB, payload unsigned, 16 in flight"),
    ("put-1MiB-c16-signed", "PUT of 1 MiB, payload signed, 16 in flight"),
    ("put-1MiB-c16-tls-unsigned", "PUT of 1 MiB over TLS, payload unsigned, 16 in flight"),
    ("get-1KiB-c16-signed", "GET of 1 KiB, 16 in flight"),
    ("get-1MiB-c16-signed", "GET of 1 MiB, 16 in flight"),
    ("upload-1GiB-unsigned", "Upload of 1 GiB in parts, 4 at once"),
    ("download-1GiB-unsigned", "Download of 1 GiB in parts, 4 at once"),
    ("list-1000", "List of 1,000 keys"),
];

/// Maximum length of a bar, in multiples of Sandbucket's. Longer bars are truncated; their figure is printed.
const LONGEST: f64 = 3.0;

const WIDTH: f64 = 760.0;
const NAMES: f64 = 150.0;
/// Width of the figures behind the bars.
const FIGURES: f64 = 120.0;
const BAR: f64 = 14.0;
const STEP: f64 = 18.0;
const HEADING: f64 = 34.0;

pub fn render(measured: &[Measured]) -> String {
    let called = |name: &str| measured.iter().find(|measured| measured.row.name == name);
    let mut drawn: Vec<(&Measured, &str)> =
        HEADLINES.iter().filter_map(|(name, caption)| Some((called(name)?, *caption))).collect();
    if drawn.is_empty() {
        // A run of other rows draws as many as fit.
        drawn = measured.iter().take(HEADLINES.len()).map(|measured| (measured, measured.row.name.as_str())).collect();
    }
    let (mut body, mut y) = (String::new(), 52.0);
    for (measured, caption) in drawn {
        row(&mut body, &mut y, measured, caption);
    }
    let height = y + 8.0;
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         role=\"img\" aria-label=\"Processor time per operation, beside Sandbucket's\">\n\
         <style>\n\
         text {{ font: 12px system-ui, sans-serif; fill: #7d8590 }}\n\
         .title {{ font-size: 15px; font-weight: 600 }}\n\
         .row {{ font-weight: 600 }}\n\
         .sandbucket {{ fill: #2f7fd1 }}\n\
         .native {{ fill: #939ca7 }}\n\
         .floor {{ fill: none; stroke: #939ca7; stroke-width: 1.5 }}\n\
         @media (prefers-color-scheme: dark) {{\n\
         text {{ fill: #b1bac4 }}\n\
         .native {{ fill: #6b7480 }}\n\
         .floor {{ stroke: #6b7480 }}\n\
         }}\n\
         </style>\n\
         <text class=\"title\" x=\"8\" y=\"22\">Processor time per operation, Sandbucket = 1</text>\n\
         <text x=\"8\" y=\"42\">Shorter is better. Bare hyper and bare sockets, outlined, are no S3 clients: they show what \
         requests and bytes cost.</text>\n\
         {body}</svg>\n"
    )
}

/// A heading, and a bar per client with figures.
fn row(body: &mut String, y: &mut f64, measured: &Measured, caption: &str) {
    let Some(own) = measured.figures(Kind::Sandbucket) else { return };
    let _ = writeln!(body, "<text class=\"row\" x=\"8\" y=\"{:.1}\">{}</text>", *y + 22.0, escaped(caption));
    *y += HEADING;
    for client in Kind::ALL {
        let Some(figures) = measured.figures(client) else { continue };
        let times = figures.cpu_seconds_per_operation / own.cpu_seconds_per_operation;
        let length = times.min(LONGEST) / LONGEST * (WIDTH - NAMES - FIGURES);
        let class = match client {
            Kind::Sandbucket => "sandbucket",
            Kind::Hyper | Kind::Sockets => "floor",
            _ => "native",
        };
        let beyond = if times > LONGEST { " →" } else { "" };
        let _ = writeln!(
            body,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <rect class=\"{class}\" x=\"{NAMES}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{BAR}\" rx=\"2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\">{times:.2}{beyond} ({})</text>",
            NAMES - 8.0,
            *y + 11.0,
            client.name(),
            *y,
            NAMES + length + 6.0,
            *y + 11.0,
            units::time(figures.cpu_seconds_per_operation),
        );
        *y += STEP;
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
