//! `completions` and `man`: generated from the arguments.

use std::io::{self, Write};

use clap::CommandFactory;

use crate::cli::{self, Cli};
use crate::context::Context;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::stdout_failed;

pub fn completions(_: &Context, arguments: cli::Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Cli::command(), "sandbucket", &mut script);
    io::stdout().write_all(&script).map_err(stdout_failed)?;
    Ok(Exit::Success)
}

pub fn pages(context: &Context, arguments: cli::Man) -> Result<Exit, Failure> {
    let Some(folder) = arguments.folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(stdout_failed)?;
        io::stdout().write_all(&page).map_err(stdout_failed)?;
        return Ok(Exit::Success);
    };
    let failed = |e: io::Error| Failure::file("writing to", &folder, &e);
    std::fs::create_dir_all(&folder).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &folder).map_err(failed)?;
    context.output.note(&format!("wrote the manual pages to {}", crate::text::plain(&folder.to_string_lossy())));
    Ok(Exit::Success)
}
