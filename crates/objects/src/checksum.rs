//! Digests of bodies: the MD5 that becomes the ETag, and the checksums of S3's integrity checks.
//!
//! Pure computing; what is done about a mismatch is the caller's matter.

use std::fmt;

use base64::prelude::{BASE64_STANDARD, Engine};
use crc_fast::CrcAlgorithm;
use s3s::crypto::{self, Checksum as _};
use serde::{Deserialize, Serialize};

/// The checksum algorithms of S3. Serialised by S3's own names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    /// CRC-32 (ISO-HDLC).
    #[serde(rename = "CRC32")]
    Crc32,
    /// CRC-32C (Castagnoli).
    #[serde(rename = "CRC32C")]
    Crc32c,
    /// CRC-64/NVME; S3's default, and ours.
    #[serde(rename = "CRC64NVME")]
    Crc64Nvme,
    /// SHA-1.
    #[serde(rename = "SHA1")]
    Sha1,
    /// SHA-256.
    #[serde(rename = "SHA256")]
    Sha256,
}

impl Algorithm {
    /// All of them.
    pub const ALL: &'static [Self] = &[
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// S3's name for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Crc32 => "CRC32",
            Self::Crc32c => "CRC32C",
            Self::Crc64Nvme => "CRC64NVME",
            Self::Sha1 => "SHA1",
            Self::Sha256 => "SHA256",
        }
    }

    /// The header that carries it.
    pub const fn header(self) -> &'static str {
        match self {
            Self::Crc32 => "x-amz-checksum-crc32",
            Self::Crc32c => "x-amz-checksum-crc32c",
            Self::Crc64Nvme => "x-amz-checksum-crc64nvme",
            Self::Sha1 => "x-amz-checksum-sha1",
            Self::Sha256 => "x-amz-checksum-sha256",
        }
    }

    /// By S3's name for it.
    pub fn named(name: &str) -> Option<Self> {
        let same = |algorithm: &&Self| algorithm.as_str().eq_ignore_ascii_case(name);
        Self::ALL.iter().find(same).copied()
    }

    /// By the header that carries it.
    pub fn of_header(name: &str) -> Option<Self> {
        let same = |algorithm: &&Self| algorithm.header().eq_ignore_ascii_case(name);
        Self::ALL.iter().find(same).copied()
    }

    /// Bytes of its value.
    const fn width(self) -> usize {
        match self {
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// What a multipart upload computes with it unless the client says otherwise.
    pub const fn default_coverage(self) -> Coverage {
        match self {
            Self::Crc64Nvme => Coverage::FullObject,
            _ => Coverage::Composite,
        }
    }

    const fn crc(self) -> Option<CrcAlgorithm> {
        match self {
            Self::Crc32 => Some(CrcAlgorithm::Crc32IsoHdlc),
            Self::Crc32c => Some(CrcAlgorithm::Crc32Iscsi),
            Self::Crc64Nvme => Some(CrcAlgorithm::Crc64Nvme),
            Self::Sha1 | Self::Sha256 => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the checksum of a multipart object covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Coverage {
    /// The bytes of the object, as if it had been put whole.
    FullObject,
    /// The checksums of its parts.
    Composite,
}

impl Coverage {
    /// Whether S3 offers it for this algorithm.
    pub const fn fits(self, algorithm: Algorithm) -> bool {
        match self {
            Self::FullObject => algorithm.crc().is_some(),
            Self::Composite => !matches!(algorithm, Algorithm::Crc64Nvme),
        }
    }
}

/// The checksum of an object or part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// How it was computed.
    pub algorithm: Algorithm,
    /// Base64; for a composite one followed by `-` and the number of parts.
    pub value: String,
    /// What it covers.
    pub coverage: Coverage,
}

impl Checksum {
    fn whole(algorithm: Algorithm, value: &[u8]) -> Self {
        Self {
            algorithm,
            value: BASE64_STANDARD.encode(value),
            coverage: Coverage::FullObject,
        }
    }

    /// The bytes of a value that covers bytes (no composite).
    fn raw(&self) -> Option<Vec<u8>> {
        let raw = BASE64_STANDARD.decode(&self.value).ok()?;
        (raw.len() == self.algorithm.width()).then_some(raw)
    }
}

/// Whether `text` can be a whole checksum by this algorithm.
pub(crate) fn is_well_formed(algorithm: Algorithm, text: &str) -> bool {
    BASE64_STANDARD
        .decode(text)
        .is_ok_and(|raw| raw.len() == algorithm.width())
}

/// The checksum of an object that is made of parts with these checksums and sizes; `None` when a
/// part has none, or one by another algorithm.
pub(crate) fn of_parts<'a>(
    algorithm: Algorithm,
    coverage: Coverage,
    parts: impl Iterator<Item = (Option<&'a Checksum>, u64)>,
) -> Option<Checksum> {
    let mut raws = Vec::new();
    for (checksum, size) in parts {
        let checksum = checksum.filter(|c| c.algorithm == algorithm)?;
        raws.push((checksum.raw()?, size));
    }
    match (coverage, algorithm.crc()) {
        (Coverage::FullObject, Some(crc)) => Some(combine(algorithm, crc, &raws)),
        (Coverage::FullObject, None) => None,
        (Coverage::Composite, _) => {
            let mut hasher = Hasher::new(algorithm);
            for (raw, _) in &raws {
                hasher.update(raw);
            }
            let mut checksum = hasher.finish();
            checksum.value = format!("{}-{}", checksum.value, raws.len());
            checksum.coverage = Coverage::Composite;
            Some(checksum)
        }
    }
}

fn combine(algorithm: Algorithm, crc: CrcAlgorithm, raws: &[(Vec<u8>, u64)]) -> Checksum {
    let number = |raw: &[u8]| raw.iter().fold(0_u64, |n, byte| n << 8 | u64::from(*byte));
    let mut whole: Option<u64> = None;
    for (raw, size) in raws {
        whole = Some(match whole {
            None => number(raw),
            Some(before) => crc_fast::checksum_combine(crc, before, number(raw), *size),
        });
    }
    let bytes = whole.unwrap_or_default().to_be_bytes();
    Checksum::whole(algorithm, &bytes[8 - algorithm.width()..])
}

/// The MD5 of a body, and checksums by some algorithms, fed as the body passes.
pub(crate) struct Digests {
    md5: crypto::Md5,
    sums: Vec<Hasher>,
}

/// What `Digests` found.
#[derive(Debug, Clone)]
pub(crate) struct Digested {
    /// MD5 of the body.
    pub(crate) md5: [u8; 16],
    /// One per algorithm asked for.
    pub(crate) sums: Vec<Checksum>,
}

impl Digested {
    /// The checksum by this algorithm, if it was asked for.
    pub(crate) fn sum(&self, algorithm: Algorithm) -> Option<&Checksum> {
        self.sums.iter().find(|sum| sum.algorithm == algorithm)
    }
}

impl Digests {
    pub(crate) fn new(algorithms: &[Algorithm]) -> Self {
        Self {
            md5: crypto::Md5::new(),
            sums: algorithms.iter().map(|a| Hasher::new(*a)).collect(),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.md5.update(bytes);
        for sum in &mut self.sums {
            sum.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digested {
        Digested {
            md5: self.md5.finalize(),
            sums: self.sums.into_iter().map(Hasher::finish).collect(),
        }
    }
}

/// The ETag of a multipart object: the MD5 of its parts' MD5s, and their number.
/// `None` when an ETag is no MD5.
pub(crate) fn multipart_etag<'a>(etags: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut md5 = crypto::Md5::new();
    let mut count = 0;
    for etag in etags {
        md5.update(&hex::decode(etag).ok()?);
        count += 1;
    }
    Some(format!("{}-{count}", hex::encode(md5.finalize())))
}

enum Hasher {
    Crc32(crypto::Crc32),
    Crc32c(crypto::Crc32c),
    Crc64Nvme(crypto::Crc64Nvme),
    Sha1(crypto::Sha1),
    Sha256(Box<crypto::Sha256>),
}

impl Hasher {
    fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Crc32 => Self::Crc32(crypto::Crc32::new()),
            Algorithm::Crc32c => Self::Crc32c(crypto::Crc32c::new()),
            Algorithm::Crc64Nvme => Self::Crc64Nvme(crypto::Crc64Nvme::new()),
            Algorithm::Sha1 => Self::Sha1(crypto::Sha1::new()),
            Algorithm::Sha256 => Self::Sha256(Box::new(crypto::Sha256::new())),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc32(hasher) => hasher.update(bytes),
            Self::Crc32c(hasher) => hasher.update(bytes),
            Self::Crc64Nvme(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> Checksum {
        match self {
            Self::Crc32(hasher) => Checksum::whole(Algorithm::Crc32, &hasher.finalize()),
            Self::Crc32c(hasher) => Checksum::whole(Algorithm::Crc32c, &hasher.finalize()),
            Self::Crc64Nvme(hasher) => Checksum::whole(Algorithm::Crc64Nvme, &hasher.finalize()),
            Self::Sha1(hasher) => Checksum::whole(Algorithm::Sha1, &hasher.finalize()),
            Self::Sha256(hasher) => Checksum::whole(Algorithm::Sha256, &hasher.finalize()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(algorithms: &[Algorithm], body: &[u8]) -> Digested {
        let mut digests = Digests::new(algorithms);
        digests.update(body);
        digests.finish()
    }

    #[test]
    fn known_values_of_123456789() {
        let found = digest(Algorithm::ALL, b"123456789");
        assert_eq!(hex::encode(found.md5), "25f9e794323b453885f5181f1b624d0b");
        let expected = [
            (Algorithm::Crc32, "cbf43926"),
            (Algorithm::Crc32c, "e3069283"),
            (Algorithm::Crc64Nvme, "ae8b14860a799888"),
            (Algorithm::Sha1, "f7c3bc1d808e04732adf679965ccc34ca7ae3441"),
            (
                Algorithm::Sha256,
                "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225",
            ),
        ];
        for (algorithm, value) in expected {
            let raw = found.sum(algorithm).unwrap().raw().unwrap();
            assert_eq!(hex::encode(raw), value, "{algorithm}");
        }
    }

    #[test]
    fn parts_combine_to_the_checksum_of_the_whole() {
        let body: Vec<u8> = (0..100_000_u32).map(|n| (n * 7 % 251) as u8).collect();
        for algorithm in [Algorithm::Crc32, Algorithm::Crc32c, Algorithm::Crc64Nvme] {
            let whole = digest(&[algorithm], &body);
            let parts: Vec<_> = [&body[..1], &body[1..40_000], &body[40_000..]]
                .map(|part| (digest(&[algorithm], part).sums.remove(0), part.len() as u64))
                .into();
            let refs = parts.iter().map(|(sum, size)| (Some(sum), *size));
            let combined = of_parts(algorithm, Coverage::FullObject, refs).unwrap();
            assert_eq!(Some(&combined), whole.sum(algorithm));
        }
    }

    #[test]
    fn composites_carry_the_number_of_parts_and_sha_has_no_full_object() {
        let part = digest(&[Algorithm::Sha256], b"a").sums.remove(0);
        let parts = || [(Some(&part), 1), (Some(&part), 1)].into_iter();
        let composite = of_parts(Algorithm::Sha256, Coverage::Composite, parts()).unwrap();
        assert!(composite.value.ends_with("=-2"), "{}", composite.value);
        assert!(of_parts(Algorithm::Sha256, Coverage::FullObject, parts()).is_none());
        assert!(of_parts(Algorithm::Crc32, Coverage::Composite, parts()).is_none());
    }

    #[test]
    fn names_and_headers_lead_back() {
        for algorithm in Algorithm::ALL {
            assert_eq!(Algorithm::named(algorithm.as_str()), Some(*algorithm));
            assert_eq!(Algorithm::of_header(algorithm.header()), Some(*algorithm));
            assert!(Coverage::fits(algorithm.default_coverage(), *algorithm));
        }
        assert_eq!(Algorithm::named("MD5"), None);
    }
}
