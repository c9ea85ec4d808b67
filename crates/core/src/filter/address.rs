//! Blocks of IP addresses.

use std::net::IpAddr;

/// A block of addresses as CIDR writes it: `10.0.0.0/24`, `2001:db8::/32` (RFC 4632, RFC 4291).
#[derive(Debug, Clone, Copy)]
pub(super) struct Block {
    start: IpAddr,
    /// How many leading bits decide.
    bits: u32,
}

impl Block {
    /// Reads a block; the error says what is wrong with it. Bits behind the prefix are ignored.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (address, bits) = text
            .split_once('/')
            .ok_or("the number of leading bits is missing; for one address write /32, or /128")?;
        let start: IpAddr = address
            .parse()
            .map_err(|_| "there is no IP address before the `/`")?;
        let most = if start.is_ipv4() { 32 } else { 128 };
        let is_number = (1..=3).contains(&bits.len()) && bits.bytes().all(|b| b.is_ascii_digit());
        let bits = (is_number.then(|| bits.parse().ok()).flatten())
            .filter(|bits| *bits <= most)
            .ok_or_else(|| format!("behind the `/` stands a number from 0 to {most}"))?;
        Ok(Self { start, bits })
    }

    /// Whether `text` is an address in the block. An IPv4 address that is written as IPv6
    /// (`::ffff:10.0.0.1`) is the IPv4 address.
    pub(super) fn holds(&self, text: &str) -> bool {
        let Ok(address) = text.parse::<IpAddr>() else {
            return false;
        };
        match (self.start, address, address.to_canonical()) {
            (IpAddr::V4(start), _, IpAddr::V4(it)) => {
                let mask = u32::MAX.checked_shl(32 - self.bits).unwrap_or(0);
                (start.to_bits() ^ it.to_bits()) & mask == 0
            }
            (IpAddr::V6(start), IpAddr::V6(it), _) => {
                let mask = u128::MAX.checked_shl(128 - self.bits).unwrap_or(0);
                (start.to_bits() ^ it.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_in_their_block() {
        let check = |block: &str, address: &str, expected| {
            let block_ = Block::parse(block).unwrap();
            assert_eq!(block_.holds(address), expected, "{block} {address}");
        };
        check("10.0.0.0/24", "10.0.0.255", true);
        check("10.0.0.0/24", "10.0.1.0", false);
        check("10.0.0.77/24", "10.0.0.1", true);
        check("0.0.0.0/0", "255.1.2.3", true);
        check("10.0.0.1/32", "10.0.0.1", true);
        check("10.0.0.1/32", "10.0.0.2", false);
        check("10.0.0.0/8", "::ffff:10.1.2.3", true);
        check("10.0.0.0/8", "::1", false);
        check("10.0.0.0/8", "10.1.2", false);
        check("10.0.0.0/8", "10.1.2.3/32", false);
        check("10.0.0.0/8", "010.1.2.3", false);
        check("2001:db8::/32", "2001:0db8:ffff::1", true);
        check("2001:db8::/32", "2001:db9::1", false);
        check("::/0", "2001:db9::1", true);
        check("::/0", "10.0.0.1", false);
        check("::1/128", "0:0:0:0:0:0:0:1", true);
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for text in [
            "",
            "/",
            "10.0.0.0",
            "10.0.0/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "x/8",
            "10.0.0.0/+8",
            "::/129",
            "10.0.0.0/8/8",
            "10.0.0.0/ 8",
        ] {
            assert!(Block::parse(text).is_err(), "{text}");
        }
    }
}
