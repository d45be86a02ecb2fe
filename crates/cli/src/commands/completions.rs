//! `skyfresh completions`.

use crate::args::Cli;
use crate::context::Context;
use crate::exit::Exit;
use clap::CommandFactory;

/// Print the completion script of a shell
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  skyfresh completions bash > ~/.local/share/bash-completion/completions/skyfresh
  skyfresh completions zsh > ~/.zfunc/_skyfresh
  skyfresh completions fish > ~/.config/fish/completions/skyfresh.fish")]
pub(crate) struct Args {
    /// The shell
    #[arg(value_name = "SHELL")]
    shell: clap_complete::Shell,
}

pub(crate) fn run(args: &Args, context: &Context) -> Exit {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "skyfresh", &mut script);
    context
        .output
        .line(String::from_utf8_lossy(&script).trim_end());
    Exit::Ok
}
