//! `dev` and `serve`: from arguments to what a server is started with.

use crate::{
    cli::{args::ServeArgs, error::CliError},
    options::{DATA_FOLDER, Mode, ServeOptions},
};

pub(super) fn options(mode: Mode, args: ServeArgs) -> Result<ServeOptions, CliError> {
    let environment = match args.env {
        Some(name) => name,
        None => super::check::environment(mode.environment())?,
    };
    Ok(ServeOptions {
        mode,
        data: args.data.unwrap_or_else(|| args.dir.join(DATA_FOLDER)),
        dir: args.dir,
        http: args.http,
        admin: args.admin,
        aws: args.aws,
        addr_file: args.addr_file,
        environment,
    })
}
