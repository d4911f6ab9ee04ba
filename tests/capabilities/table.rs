//! Renders the page: a table of services and capabilities.

use std::fmt::Write;

use sandbucket_tests::Kind;

use crate::probe::{Lack, Outcome};

const HEAD: &str = "\
# What the services can do

Written by `make interop`, which does each of these through Sandbucket and notes what came of it; not to be edited. \
Sources: `tests/capabilities/`. A \"no\" is the service's own: what it answered, or did instead. moto runs with authentication on, Garage as a \
single node.

";

/// One outcome as a table cell.
pub fn cell(outcome: &Outcome) -> String {
    match outcome {
        Ok(()) => "yes".to_owned(),
        Err(Lack::Service(what)) => format!("no: {}", one_line(what)),
        Err(Lack::Ours(what)) => format!("(could not be probed: {})", one_line(what)),
    }
}

fn one_line(text: &str) -> String {
    text.replace(['\r', '\n'], " ").replace('|', "\\|")
}

/// The whole page. Each column lists its outcomes in the order of the names.
pub fn page(areas: &[(&str, Vec<&str>)], columns: &[(Kind, Vec<Outcome>)]) -> String {
    let mut page = HEAD.to_owned();
    let mut place = 0;
    for (area, names) in areas {
        let _ = write!(page, "## {area}\n\n| |");
        for (kind, _) in columns {
            let _ = write!(page, " {} |", kind.version());
        }
        let _ = writeln!(page, "\n|---{}|", "|---".repeat(columns.len()));
        for name in names {
            let _ = write!(page, "| {name} |");
            for (_, outcomes) in columns {
                let _ = write!(page, " {} |", cell(&outcomes[place]));
            }
            page.push('\n');
            place += 1;
        }
        page.push('\n');
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_in_its_row_and_column() {
        let no = || Err(Lack::Service("responds 501 | `NotImplemented`\nand no more".to_owned()));
        let columns = [(Kind::Dev, vec![Ok(()), no(), Ok(())]), (Kind::Garage, vec![no(), Ok(()), Ok(())])];
        let page = page(&[("One", vec!["a", "b"]), ("Two", vec!["c"])], &columns);
        let no = "no: responds 501 \\| `NotImplemented` and no more";
        for line in [format!("| a | yes | {no} |"), format!("| b | {no} | yes |"), "| c | yes | yes |".to_owned()] {
            assert!(page.lines().any(|known| known == line), "{line} is not in\n{page}");
        }
        assert!(page.contains("\n\n## Two\n\n| | dev server | Garage "), "{page}");
        assert!(page.ends_with("|\n") && !page.ends_with("\n\n"));
    }
}
