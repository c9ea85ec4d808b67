//! Reads npm's error output, and says in a sentence what went wrong and how to mend it.

use std::fmt;

/// An npm command that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NpmFailure {
    /// What kind of failure it is.
    pub kind: NpmFailureKind,
    /// npm's error code, such as `E404`; empty if it gave none.
    pub code: String,
    /// npm's own words, a few lines at most.
    pub said: String,
}

/// What went wrong, as far as npm's output tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NpmFailureKind {
    /// The registry has no such package (or hides it).
    NoSuchPackage(String),
    /// The package has no version that fits.
    NoSuchVersion(String),
    /// package.json and package-lock.json say different things.
    LockOutOfSync,
    /// The registry could not be reached.
    Network,
    /// The registry wants a login.
    Login,
    /// The registry answered with an error of its own.
    Registry,
    /// A download does not match its hash.
    Integrity,
    /// The disk is full.
    NoSpace,
    /// A file may not be written.
    NoPermission,
    /// An install script of a package failed.
    Script(String),
    /// Packages want versions of one another that do not go together.
    Conflict,
    /// A package refuses this Node or this machine.
    WrongPlatform,
    /// package.json is not valid.
    BadManifest,
    /// This npm does not run on this Node.
    WrongNode,
    /// Anything else.
    Other,
}

impl NpmFailure {
    /// Reads what a failed npm printed.
    pub(crate) fn read(output: &str) -> Self {
        let lines = error_lines(output);
        let code = lines
            .iter()
            .find_map(|line| line.strip_prefix("code "))
            .unwrap_or_default()
            .trim()
            .to_owned();
        Self {
            kind: kind(&code, &lines, output),
            said: said(&lines, output),
            code,
        }
    }

    /// What to do about it: a sentence without a full stop.
    pub fn remedy(&self) -> &'static str {
        use NpmFailureKind as Kind;
        match self.kind {
            Kind::NoSuchPackage(_) => {
                "Check the spelling of its name, and that `npm config get registry` is the registry that has it"
            }
            Kind::NoSuchVersion(_) => "`npm view NAME versions` lists the versions that exist",
            Kind::LockOutOfSync => {
                "Run `npm install` in that folder and keep the package-lock.json it writes"
            }
            Kind::Network => {
                "Check `npm config get registry`, the proxy (`npm config get https-proxy`) and the network"
            }
            Kind::Login => "Log in with `npm login`, or check the token in .npmrc",
            Kind::Registry => "Check `npm config get registry`, or try again later",
            Kind::Integrity => {
                "`npm cache clean --force` removes a damaged copy; if it stays, the package was replaced in the registry, or package-lock.json is wrong"
            }
            Kind::NoSpace => "Make room on the disk (`df -h`) and start again",
            Kind::NoPermission => {
                "Check who owns the folder and npm's cache (`npm config get cache`)"
            }
            Kind::Script(_) => {
                "Take the package out of the allowed install scripts if it works without, or install what its script needs"
            }
            Kind::Conflict => {
                "Change the versions in package.json so that they go together; the log names who wants what"
            }
            Kind::WrongPlatform => "Choose a version of the package, or of Node, that go together",
            Kind::BadManifest => "Mend package.json: it must be plain JSON without comments",
            Kind::WrongNode => "Install a newer npm or Node",
            Kind::Other => "npm's own words are in its log",
        }
    }
}

impl fmt::Display for NpmFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use NpmFailureKind as Kind;
        match &self.kind {
            Kind::NoSuchPackage(name) => write!(f, "the registry has no package `{name}`")?,
            Kind::NoSuchVersion(wanted) => write!(f, "no version fits `{wanted}`")?,
            Kind::LockOutOfSync => f.write_str("package.json and package-lock.json do not fit")?,
            Kind::Network => f.write_str("the registry cannot be reached")?,
            Kind::Login => f.write_str("the registry wants a login")?,
            Kind::Registry => f.write_str("the registry answered with an error")?,
            Kind::Integrity => f.write_str("a download does not match its hash")?,
            Kind::NoSpace => f.write_str("the disk is full")?,
            Kind::NoPermission => f.write_str("a file may not be written")?,
            Kind::Script(package) => write!(f, "the install script of `{package}` failed")?,
            Kind::Conflict => f.write_str("packages want versions that do not go together")?,
            Kind::WrongPlatform => f.write_str("a package refuses this Node or machine")?,
            Kind::BadManifest => f.write_str("package.json is not valid")?,
            Kind::WrongNode => f.write_str("this npm does not run on this Node")?,
            Kind::Other => f.write_str("npm failed")?,
        }
        if !self.code.is_empty() {
            write!(f, " ({})", self.code)?;
        }
        if !self.said.is_empty() {
            write!(f, ": {}", self.said)?;
        }
        Ok(())
    }
}

/// npm's error lines without their mark, which is `npm error` or, before npm 10, `npm ERR!`.
fn error_lines(output: &str) -> Vec<&str> {
    output
        .lines()
        .filter_map(|line| {
            let rest = line
                .strip_prefix("npm error")
                .or_else(|| line.strip_prefix("npm ERR!"))?;
            Some(rest.trim())
        })
        .filter(|line| !line.is_empty())
        .collect()
}

fn kind(code: &str, lines: &[&str], output: &str) -> NpmFailureKind {
    use NpmFailureKind as Kind;
    match code {
        "E404"
            if lines
                .iter()
                .any(|line| line.contains("No match found for version")) =>
        {
            Kind::NoSuchVersion(quoted(lines).unwrap_or_default())
        }
        "E404" => Kind::NoSuchPackage(package_name(&quoted(lines).unwrap_or_default())),
        "ETARGET" | "ENOVERSIONS" => Kind::NoSuchVersion(after(lines, "found for ")),
        "EUSAGE" => Kind::LockOutOfSync,
        "E401" | "ENEEDAUTH" | "E403" | "EOTP" => Kind::Login,
        "EINTEGRITY" => Kind::Integrity,
        "ENOSPC" | "EDQUOT" => Kind::NoSpace,
        "EACCES" | "EPERM" | "EROFS" => Kind::NoPermission,
        "ERESOLVE" => Kind::Conflict,
        "EBADENGINE" | "EBADPLATFORM" | "EBADDEVENGINES" => Kind::WrongPlatform,
        "EJSONPARSE" | "EINVALIDPACKAGENAME" | "EINVALIDTAGNAME" => Kind::BadManifest,
        "ELIFECYCLE" => Kind::Script(script_package(lines)),
        _ if is_network(code) => Kind::Network,
        _ if is_http_error(code) => Kind::Registry,
        _ if lines.iter().any(|line| line.starts_with("command sh ")) => {
            Kind::Script(script_package(lines))
        }
        _ if output.contains("npm does not support Node")
            || output.contains("does not support Node.js") =>
        {
            Kind::WrongNode
        }
        _ => Kind::Other,
    }
}

fn is_network(code: &str) -> bool {
    matches!(
        code,
        "ECONNREFUSED"
            | "ECONNRESET"
            | "ECONNABORTED"
            | "ENOTFOUND"
            | "EAI_AGAIN"
            | "ENETUNREACH"
            | "ENETDOWN"
            | "EHOSTUNREACH"
            | "EPIPE"
            | "ETIMEDOUT"
            | "ERR_SOCKET_TIMEOUT"
            | "FETCH_ERROR"
            | "EIDLETIMEOUT"
            | "ECONNECTIONTIMEOUT"
            | "ENOTCACHED"
            | "EPROTO"
            | "ERR_INVALID_URL"
            | "SELF_SIGNED_CERT_IN_CHAIN"
            | "DEPTH_ZERO_SELF_SIGNED_CERT"
            | "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"
            | "UNABLE_TO_VERIFY_LEAF_SIGNATURE"
            | "CERT_HAS_EXPIRED"
            | "ERR_TLS_CERT_ALTNAME_INVALID"
    )
}

/// `E502` and its like.
fn is_http_error(code: &str) -> bool {
    code.strip_prefix('E')
        .is_some_and(|status| status.len() == 3 && status.bytes().all(|byte| byte.is_ascii_digit()))
}

/// The first text in single quotes on the lines about a 404: `'name@^1'`.
fn quoted(lines: &[&str]) -> Option<String> {
    let line = lines
        .iter()
        .find(|line| line.starts_with("404") && line.contains('\''))?;
    let mut parts = line.split('\'');
    parts.nth(1).map(str::to_owned)
}

/// `@scope/name@^1` → `@scope/name`.
fn package_name(spec: &str) -> String {
    match spec.rfind('@') {
        Some(at) if at > 0 => spec[..at].to_owned(),
        _ => spec.to_owned(),
    }
}

fn after(lines: &[&str], mark: &str) -> String {
    lines
        .iter()
        .find_map(|line| line.split_once(mark))
        .map(|(_, rest)| rest.trim_end_matches('.').to_owned())
        .unwrap_or_default()
}

/// The package whose script failed, from npm's `path …/node_modules/NAME`.
fn script_package(lines: &[&str]) -> String {
    let path = lines.iter().find_map(|line| line.strip_prefix("path "));
    let path = path.unwrap_or_default();
    match path.rsplit_once("node_modules/") {
        Some((_, name)) => name.to_owned(),
        None => path.to_owned(),
    }
}

/// How npm's lines begin that a sentence can do without: what was read elsewhere, and advice.
const SAYS_NOTHING: [&str; 19] = [
    "code ",
    "errno ",
    "syscall ",
    "path ",
    "command ",
    "type ",
    "at ",
    "code: ",
    "errno: ",
    "syscall: ",
    "address: ",
    "port: ",
    "type: ",
    "A complete log",
    "Clean install a project",
    "This is a problem related to",
    "In most cases you",
    "If you are behind a proxy",
    "}",
];

/// npm's own words in short: what it says first, without its code, its usage and where its log is.
fn said(lines: &[&str], output: &str) -> String {
    const LINES: usize = 4;
    const CHARACTERS: usize = 500;
    let telling = |line: &str| {
        !SAYS_NOTHING.iter().any(|start| line.starts_with(start))
            && !line.starts_with(char::is_numeric)
            && !line.contains("can only install packages when your package.json")
    };
    let without_mark = |line: &str| {
        for mark in [
            "404 ",
            "notarget ",
            "network ",
            "JSON.parse ",
            "FetchError: ",
            "ERESOLVE ",
            "nospc ",
        ] {
            if let Some(rest) = line.strip_prefix(mark) {
                return rest.trim().to_owned();
            }
        }
        line.to_owned()
    };
    let mut words: Vec<String> = lines
        .iter()
        .filter(|line| telling(line) || line.starts_with("404 "))
        .map(|line| without_mark(line))
        .filter(|line| !line.is_empty() && telling(line))
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("Note that you"))
        .take(LINES)
        .collect();
    if words.is_empty() {
        let plain = output.lines().map(str::trim).rfind(|line| !line.is_empty());
        words.extend(plain.map(str::to_owned));
    }
    let text = words.join("; ");
    let text: String = text.chars().take(CHARACTERS).collect();
    text.trim_end_matches(['.', ';', ' ']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(output: &str, kind: NpmFailureKind, shown: &str) {
        let failure = NpmFailure::read(output);
        assert_eq!(failure.kind, kind, "{output}");
        assert_eq!(failure.to_string(), shown);
        assert!(!failure.remedy().is_empty());
    }

    #[test]
    fn what_npm_prints_becomes_a_sentence() {
        use NpmFailureKind as Kind;
        check(
            "npm warn Unknown user config \"x\".\nnpm error code E404\nnpm error 404 Not Found - GET http://r/foo\nnpm error 404\nnpm error 404  The requested resource 'foo@1' could not be found or you do not have permission to access it.\nnpm error 404\nnpm error 404 Note that you can also install from a\nnpm error A complete log of this run can be found in: /x",
            Kind::NoSuchPackage("foo".into()),
            "the registry has no package `foo` (E404): Not Found - GET http://r/foo; The requested resource 'foo@1' could not be found or you do not have permission to access it",
        );
        check(
            "npm ERR! code E404\nnpm ERR! 404  '@a/b@^1.0.0' is not in this registry.",
            Kind::NoSuchPackage("@a/b".into()),
            "the registry has no package `@a/b` (E404): '@a/b@^1.0.0' is not in this registry",
        );
        check(
            "npm error code E404\nnpm error 404 No match found for version 24.22.0\nnpm error 404  The requested resource 'x@24.22.0' could not be found",
            Kind::NoSuchVersion("x@24.22.0".into()),
            "no version fits `x@24.22.0` (E404): No match found for version 24.22.0; The requested resource 'x@24.22.0' could not be found",
        );
        check(
            "npm error code ETARGET\nnpm error notarget No matching version found for is-number@99.9.9.\nnpm error A complete log of this run",
            Kind::NoSuchVersion("is-number@99.9.9".into()),
            "no version fits `is-number@99.9.9` (ETARGET): No matching version found for is-number@99.9.9",
        );
        check(
            "npm error code EUSAGE\nnpm error\nnpm error `npm ci` can only install packages when your package.json and package-lock.json or npm-shrinkwrap.json are in sync. Please update\nnpm error\nnpm error Missing: is-odd@3.0.1 from lock file\nnpm error\nnpm error Clean install a project\nnpm error\nnpm error Usage:\nnpm error npm ci",
            Kind::LockOutOfSync,
            "package.json and package-lock.json do not fit (EUSAGE): Missing: is-odd@3.0.1 from lock file",
        );
        check(
            "npm error code ENOTFOUND\nnpm error syscall getaddrinfo\nnpm error errno ENOTFOUND\nnpm error network request to http://r/x failed, reason: getaddrinfo ENOTFOUND r\nnpm error network This is a problem related to network connectivity.",
            Kind::Network,
            "the registry cannot be reached (ENOTFOUND): request to http://r/x failed, reason: getaddrinfo ENOTFOUND r",
        );
        check(
            "npm error code ECONNREFUSED\nnpm error errno ECONNREFUSED\nnpm error FetchError: request to http://r/x failed, reason: connect ECONNREFUSED 127.0.0.1:9\nnpm error     at ClientRequest.<anonymous> (/x.js:130:14)\nnpm error   code: 'ECONNREFUSED',\nnpm error   port: 9,\nnpm error }\nnpm error\nnpm error If you are behind a proxy, please",
            Kind::Network,
            "the registry cannot be reached (ECONNREFUSED): request to http://r/x failed, reason: connect ECONNREFUSED 127.0.0.1:9",
        );
        check(
            "npm error code 1\nnpm error path /f/node_modules/@a/b\nnpm error command failed\nnpm error command sh -c node build.js\nnpm error boom",
            Kind::Script("@a/b".into()),
            "the install script of `@a/b` failed (1): boom",
        );
        check(
            "npm error code ENOSPC\nnpm error syscall write\nnpm error errno -28\nnpm error nospc ENOSPC: no space left on device, write",
            Kind::NoSpace,
            "the disk is full (ENOSPC): ENOSPC: no space left on device, write",
        );
        check(
            "npm error code E502\nnpm error 502 Bad Gateway - GET http://r/x",
            Kind::Registry,
            "the registry answered with an error (E502): npm error 502 Bad Gateway - GET http://r/x",
        );
        check(
            "ERROR: npm v11.1.0 is known not to run on Node.js v12.0.0.  This version of npm does not support Node.js v12",
            Kind::WrongNode,
            "this npm does not run on this Node: ERROR: npm v11.1.0 is known not to run on Node.js v12.0.0.  This version of npm does not support Node.js v12",
        );
        check("", Kind::Other, "npm failed");
        check(
            "Segmentation fault\n\n",
            Kind::Other,
            "npm failed: Segmentation fault",
        );
    }
}
