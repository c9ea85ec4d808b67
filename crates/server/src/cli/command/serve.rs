//! `dev` and `serve`: from arguments to what a server is started with.

use crate::{
    cli::{args::ServeArgs, error::CliError},
    options::{Mode, ServeOptions},
};

pub(super) fn options(mode: Mode, args: ServeArgs) -> Result<ServeOptions, CliError> {
    let environment = match args.env {
        Some(name) => name,
        None => super::check::environment(mode.environment())?,
    };
    if !args.dir.is_dir() {
        let dir = args.dir.display();
        return Err(CliError::input(format!("there is no folder {dir}")));
    }
    Ok(ServeOptions {
        mode,
        data: super::data_folder(args.data, &args.dir),
        dir: args.dir,
        http: args.http,
        admin: args.admin,
        aws: args.aws,
        addr_file: args.addr_file,
        environment,
    })
}
