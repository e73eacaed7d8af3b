//! Who counts as one peer where addresses have limits: an IPv4 address, or an IPv6 network of 64
//! bits, which is the least that a customer is given (RFC 6177).
//! Invariant: an IPv4 address written as an IPv6 one is the same peer.

use std::net::IpAddr;

/// Whether limits on an address hold for loopback ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// They do not: what connects is a proxy, or a test.
    #[default]
    Exempt,
    /// They do.
    Limited,
}

/// An IPv4 address or the first half of an IPv6 one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Subnet {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl Subnet {
    /// The subnet of an address; `None` if it is exempt.
    pub(super) fn of(address: IpAddr, loopback: Loopback) -> Option<Self> {
        match address.to_canonical() {
            address if address.is_loopback() && loopback == Loopback::Exempt => None,
            IpAddr::V4(address) => Some(Self::V4(address.octets())),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Some(Self::V6([a, b, c, d]))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Subnet> {
        Subnet::of(text.parse().unwrap(), Loopback::Exempt)
    }

    #[test]
    fn an_ipv4_address_is_one_peer_and_an_ipv6_network_of_64_bits_is_another() {
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_eq!(of("2001:db8:0:1::1"), of("2001:db8:0:1:ffff::2"));
        assert_ne!(of("2001:db8:0:1::1"), of("2001:db8:0:2::1"));
        for loopback in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(loopback), None, "{loopback}");
            let address = loopback.parse().unwrap();
            assert!(Subnet::of(address, Loopback::Limited).is_some(), "{loopback}");
        }
    }
}
