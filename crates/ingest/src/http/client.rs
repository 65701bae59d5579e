//! Who sends a request, as far as the network shows: the basis of fairness and throttling.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A sender. IPv6 gives every customer a whole network, so there the first 64 bits count. Behind a
/// proxy all senders are one: what a header says about others can be made up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Client(IpAddr);

impl Client {
    /// All senders from this address.
    pub fn of(address: IpAddr) -> Client {
        match address.to_canonical() {
            IpAddr::V6(ip) => {
                let [a, b, c, d, ..] = ip.segments();
                Client(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
            ip => Client(ip),
        }
    }

    /// The sender of a request that `server.rs` took in.
    pub fn of_request<B>(request: &axum::http::Request<B>) -> Client {
        let unknown = Client(Ipv4Addr::UNSPECIFIED.into());
        request.extensions().get::<Client>().copied().unwrap_or(unknown)
    }
}

#[cfg(test)]
mod tests {
    use super::Client;

    #[test]
    fn addresses_of_one_sender_are_one_client() {
        let client = |address: &str| Client::of(address.parse().unwrap());
        assert_eq!(client("2001:db8::1"), client("2001:db8::ffff:2"));
        assert_ne!(client("2001:db8::1"), client("2001:db8:0:1::1"));
        assert_eq!(client("::ffff:10.0.0.1"), client("10.0.0.1"));
        assert_ne!(client("127.0.0.1"), client("127.0.0.2"));
    }
}
