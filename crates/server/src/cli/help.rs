//! The command line as clap sees it, with the commands listed in groups.

use std::fmt::Write as _;

use clap::{Command, CommandFactory};

use super::args::Cli;

/// The commands by what they are for. Every command stands here once.
const GROUPS: &[(&str, &[&str])] = &[
    ("Run a project", &["dev", "serve"]),
    ("Write a project", &["init", "check", "schema"]),
    ("Try", &["invoke", "publish", "filter"]),
    (
        "Look",
        &["functions", "runs", "show", "logs", "explain", "why"],
    ),
    (
        "Put right",
        &["dead", "replay", "pause", "resume", "pauses"],
    ),
    ("Keep", &["bucket", "secret", "key"]),
    ("Look after the data", &["backup", "restore", "doctor"]),
];

/// The whole command line.
pub fn command() -> Command {
    let command = Cli::command();
    let groups = groups(&command);
    command.help_template(format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n\n{groups}\nOptions:\n{{options}}{{after-help}}"
    ))
}

fn groups(command: &Command) -> String {
    let mut text = String::new();
    for (title, names) in GROUPS {
        let _ = writeln!(text, "{title}:");
        for name in *names {
            let about = command.find_subcommand(name).and_then(Command::get_about);
            let about = about.map(ToString::to_string).unwrap_or_default();
            let _ = writeln!(text, "  {name:<10} {about}");
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_are_sound_and_every_command_is_in_one_group() {
        command().debug_assert();
        let mut grouped: Vec<_> = GROUPS
            .iter()
            .flat_map(|(_, names)| *names)
            .copied()
            .collect();
        grouped.sort_unstable();
        let command = Cli::command();
        let mut all: Vec<_> = command.get_subcommands().map(Command::get_name).collect();
        all.sort_unstable();
        assert_eq!(grouped, all);
    }

    #[test]
    fn what_help_says() {
        fn show(command: &Command, path: &str, out: &mut String) {
            // No argument has a longer text, so that -h and --help say the same.
            let help = command.clone().bin_name(path).term_width(90).render_help();
            let _ = writeln!(out, "$ {path} --help\n{help}");
            for inner in command.get_subcommands() {
                show(inner, &format!("{path} {}", inner.get_name()), out);
            }
        }
        let mut out = String::new();
        show(&command(), "wakeful", &mut out);
        insta::assert_snapshot!(out);
    }
}
