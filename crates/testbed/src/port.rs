//! Ports for servers that come and go.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket},
    ops::Range,
};

/// Below the ports that systems give to outgoing connections (from 32768 or 49152). Above, a client
/// that keeps dialling a dead server can be given that very port and reach itself, and the server
/// finds its port taken when it comes back.
const NUMBERS: Range<u16> = 12_000..22_000;

/// How far a cluster node's second port lies from its first; also kept below the outgoing ones.
const TO_CLUSTER_BUS: u16 = 10_000;

const ATTEMPTS: usize = 200;

/// A port that no other server of this crate uses, in any process, until it is dropped.
///
/// The claim is a bound UDP socket of the same number: Redis speaks TCP only, so the claim outlasts
/// the server's own comings and goings without being in its way, and ends with the process.
#[derive(Debug)]
pub(crate) struct Port {
    number: u16,
    _claim: UdpSocket,
}

impl Port {
    /// Claims a port that nobody listens on, nor on its cluster bus.
    pub(crate) fn claim() -> io::Result<Self> {
        let mut attempts = 0;
        loop {
            let number = fastrand::u16(NUMBERS);
            match Self::claim_number(number) {
                Ok(port) => return Ok(port),
                Err(error) if attempts == ATTEMPTS => return Err(error),
                Err(_) => attempts += 1,
            }
        }
    }

    fn claim_number(number: u16) -> io::Result<Self> {
        let claim = UdpSocket::bind(local(number))?;
        if !is_free(number) {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        Ok(Self {
            number,
            _claim: claim,
        })
    }

    pub(crate) fn number(&self) -> u16 {
        self.number
    }

    pub(crate) fn address(&self) -> SocketAddr {
        local(self.number)
    }
}

/// By asking: a listener to find out would be inherited by any process that another thread is about
/// to start, and be in the way until that runs its own program.
fn is_free(number: u16) -> bool {
    [number, number + TO_CLUSTER_BUS]
        .into_iter()
        .all(|number| TcpStream::connect(local(number)).is_err())
}

fn local(number: u16) -> SocketAddr {
    (Ipv4Addr::LOCALHOST, number).into()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_claimed_port_is_claimed_once_and_stays_free_for_its_server() {
        let port = Port::claim().unwrap();
        assert!(Port::claim_number(port.number()).is_err());
        assert!(TcpListener::bind(port.address()).is_ok());
    }

    #[test]
    fn a_port_that_a_stranger_listens_on_is_not_claimed() {
        let port = Port::claim().unwrap();
        let number = port.number();
        assert!(is_free(number));
        drop(port);
        for stranger in [number, number + TO_CLUSTER_BUS] {
            let _stranger = TcpListener::bind(local(stranger)).unwrap();
            assert!(Port::claim_number(number).is_err());
        }
    }
}
