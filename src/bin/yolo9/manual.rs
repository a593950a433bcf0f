//! `yolo9 completions` and `yolo9 man`.

use std::io::Write;

use clap::Command;
use clap_complete::Shell;

use crate::exit::ExitStatus;

pub(crate) fn completions(shell: Shell, command: &mut Command) -> anyhow::Result<ExitStatus> {
    // Into memory first: the generator panics on a closed stream.
    let mut script = Vec::new();
    clap_complete::generate(shell, command, "yolo9", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(ExitStatus::Done)
}

/// One page: the program's, then a section for each subcommand.
pub(crate) fn page(mut command: Command) -> anyhow::Result<ExitStatus> {
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    for subcommand in
        command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help" && !subcommand.is_hide_set())
    {
        let manual = clap_mangen::Man::new(subcommand.clone());
        writeln!(page, ".SH \"YOLO9 {}\"", subcommand.get_name().to_uppercase())?;
        manual.render_description_section(&mut page)?;
        manual.render_synopsis_section(&mut page)?;
        manual.render_options_section(&mut page)?;
    }
    std::io::stdout().write_all(&page)?;
    Ok(ExitStatus::Done)
}
