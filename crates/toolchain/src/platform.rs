//! Which machine this is, as far as it decides which Node runs on it.

use std::path::Path;

use wakeful_core::project::NodeMajor;

use crate::error::ToolchainError;

/// Processors for which Node is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cpu {
    X64,
    Arm64,
}

impl Cpu {
    /// This machine's, or why no Node can be fetched for it.
    pub(crate) fn detect(major: NodeMajor) -> Result<Self, ToolchainError> {
        Self::of(
            std::env::consts::OS,
            std::env::consts::ARCH,
            Path::new("/"),
            major,
        )
    }

    /// The same for a machine described by its names and the root of its files.
    fn of(os: &str, arch: &str, root: &Path, major: NodeMajor) -> Result<Self, ToolchainError> {
        let unsupported = |platform: String| ToolchainError::Unsupported {
            platform,
            wanted: major,
        };
        let (cpu, glibc, musl) = match (os, arch) {
            ("linux", "x86_64") => (
                Self::X64,
                ["lib64/ld-linux-x86-64.so.2", "lib/ld-linux-x86-64.so.2"],
                "lib/ld-musl-x86_64.so.1",
            ),
            ("linux", "aarch64") => (
                Self::Arm64,
                ["lib/ld-linux-aarch64.so.1", "lib64/ld-linux-aarch64.so.1"],
                "lib/ld-musl-aarch64.so.1",
            ),
            _ => return Err(unsupported(format!("{os} on {arch}"))),
        };
        if glibc.iter().any(|loader| root.join(loader).exists()) {
            return Ok(cpu);
        }
        let why = if root.join(musl).exists() {
            "musl libc (such as Alpine)"
        } else {
            "no glibc in its usual place"
        };
        Err(unsupported(format!("{os} on {arch} with {why}")))
    }

    /// As file names have it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::X64 => "x64",
            Self::Arm64 => "arm64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(os: &str, arch: &str, loader: Option<&str>, expected: Result<Cpu, &str>) {
        let root = tempfile::tempdir().unwrap();
        if let Some(loader) = loader {
            let file = root.path().join(loader);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, "").unwrap();
        }
        match (Cpu::of(os, arch, root.path(), NodeMajor::V24), expected) {
            (Ok(cpu), Ok(wanted)) => assert_eq!(cpu, wanted),
            (Err(error), Err(part)) => {
                let text = error.to_string();
                assert!(text.contains(part), "{text}");
                assert!(text.contains("Node 24"), "{text}");
            }
            (got, wanted) => panic!("{got:?} is not {wanted:?}"),
        }
    }

    #[test]
    fn only_linux_with_glibc_is_served() {
        check(
            "linux",
            "x86_64",
            Some("lib64/ld-linux-x86-64.so.2"),
            Ok(Cpu::X64),
        );
        check(
            "linux",
            "aarch64",
            Some("lib/ld-linux-aarch64.so.1"),
            Ok(Cpu::Arm64),
        );
        check(
            "linux",
            "x86_64",
            Some("lib/ld-musl-x86_64.so.1"),
            Err("musl"),
        );
        check("linux", "x86_64", None, Err("no glibc"));
        check("linux", "riscv64", None, Err("linux on riscv64"));
        check("macos", "aarch64", None, Err("macos on aarch64"));
    }
}
