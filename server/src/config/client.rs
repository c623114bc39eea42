//! Who an export is for: addresses, networks, host names, everybody.

use std::net::IpAddr;

use nfs_ops::Network;

/// One entry of `clients`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientPattern {
    /// `*`
    Everybody,
    /// An address or a network.
    Network(Network),
    /// A host name, resolved when the exports are loaded and again from time to time.
    Host(String),
}

impl ClientPattern {
    /// Reads one entry.
    ///
    /// # Errors
    /// Reason and remedy.
    pub fn parse(text: &str) -> Result<Self, (String, &'static str)> {
        if text == "*" {
            return Ok(Self::Everybody);
        }
        if let Some((address, bits)) = text.split_once('/') {
            return network(address, bits)
                .map(Self::Network)
                .ok_or_else(|| (format!("`{text}` is not a network"), NETWORK_REMEDY));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(Self::Network(Network { address, prefix_bits: width(address) }));
        }
        if text.starts_with('@') {
            return Err((
                format!("`{text}` is a netgroup, which is not supported"),
                "list its hosts or networks",
            ));
        }
        if is_host_name(text) {
            Ok(Self::Host(text.to_owned()))
        } else {
            Err((format!("`{text}` is neither an address, a network nor a host name"), NETWORK_REMEDY))
        }
    }
}

const NETWORK_REMEDY: &str =
    "write an address (192.0.2.7), a network (10.0.0.0/8, fd00::/8), a host name, or \"*\" for everybody";

impl std::fmt::Display for ClientPattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Everybody => formatter.write_str("*"),
            Self::Network(network) => network.fmt(formatter),
            Self::Host(name) => formatter.write_str(name),
        }
    }
}

/// Bits of an address of this family.
pub fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn network(address: &str, bits: &str) -> Option<Network> {
    let address: IpAddr = address.parse().ok()?;
    let prefix_bits = match bits.parse() {
        Ok(bits) if bits <= width(address) => bits,
        Ok(_) => return None,
        Err(_) => mask_bits(bits)?,
    };
    Some(Network { address, prefix_bits })
}

/// The length of a mask written as an address, such as 255.255.0.0.
fn mask_bits(mask: &str) -> Option<u8> {
    let mask: u32 = mask.parse::<std::net::Ipv4Addr>().ok()?.to_bits();
    let ones = mask.leading_ones();
    (mask.count_ones() == ones).then_some(ones as u8)
}

/// Letters, digits, dots and hyphens, and not all digits and dots (that is a broken address).
fn is_host_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    text.len() <= 253
        && text.trim_end_matches('.').split('.').all(label)
        && text.bytes().any(|byte| byte.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown() {
        for (text, shown) in [
            ("*", "*"),
            ("192.0.2.7", "192.0.2.7"),
            ("10.0.0.0/8", "10.0.0.0/8"),
            ("10.1.0.0/255.255.0.0", "10.1.0.0/16"),
            ("fd00::/8", "fd00::/8"),
            ("build-7.example.org", "build-7.example.org"),
        ] {
            assert_eq!(ClientPattern::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn nonsense_is_refused() {
        for text in
            ["", "10.0.0.0/33", "10.0.0/8", "300.1.1.1", "@group", "*.example", "a b", "10.0.0.0/255.0.255.0"]
        {
            assert!(ClientPattern::parse(text).is_err(), "{text}");
        }
    }
}
