//! [`Edge`]: a cache between the application and its users that can be told to forget.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use reqwest::Url;

use crate::surrogate_key::{SurrogateKey, written};

/// A cache between the application and its users that can be told to forget.
///
/// Its name is what logs, metrics and errors call it. `Debug` shows the name and the protocol, and
/// neither address nor headers, which may hold a password.
#[derive(Clone)]
pub struct Edge {
    name: String,
    url: Url,
    protocol: Protocol,
    headers: HeaderMap,
}

/// How an edge is told. Both carry the keys in `Surrogate-Key`, with spaces between them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Protocol {
    /// `BAN` to Varnish.
    Ban,
    /// `POST` to a purge API.
    Post,
}

/// Why an edge cannot be told anything.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidEdge {
    /// The address is not an absolute URL with the scheme `http` or `https`.
    #[error("the address of an edge is not an http or https url")]
    Url,
}

/// Why an edge may not have forgotten. None of these shows an address or a header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PurgeError {
    /// It could not be reached, did not answer in time, or the connection broke. Trying again is
    /// safe.
    #[error("the edge {edge} did not answer")]
    Unreachable {
        /// Its name.
        edge: String,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It answered that it will not. A status of 4xx, other than 408 and 429, is not tried again:
    /// the address, the password or the edge's own configuration has to be mended.
    #[error("the edge {edge} answered with {status}")]
    Refused {
        /// Its name.
        edge: String,
        /// What it answered.
        status: StatusCode,
    },
}

impl PurgeError {
    /// Whether trying again could help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => {
                !status.is_client_error()
                    || [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].contains(status)
            }
        }
    }
}

impl Edge {
    /// A Varnish that runs the VCL of this crate, `vcl/vacancy.vcl`.
    ///
    /// It is sent `BAN`, and bans what has one of the keys.
    ///
    /// # Errors
    ///
    /// When `url` is not one.
    pub fn varnish(name: impl Into<String>, url: &str) -> Result<Self, InvalidEdge> {
        Self::new(name.into(), url, Protocol::Ban)
    }

    /// A purge API that takes `POST` with the keys in the header `Surrogate-Key`, as Fastly's
    /// `https://…/service/SERVICE/purge` does. Its token goes into a [header](Self::header).
    ///
    /// # Errors
    ///
    /// When `url` is not one.
    pub fn purge_api(name: impl Into<String>, url: &str) -> Result<Self, InvalidEdge> {
        Self::new(name.into(), url, Protocol::Post)
    }

    fn new(name: String, url: &str, protocol: Protocol) -> Result<Self, InvalidEdge> {
        let url = Url::parse(url).map_err(|_| InvalidEdge::Url)?;
        match url.scheme() {
            "http" | "https" => Ok(Self {
                name,
                url,
                protocol,
                headers: HeaderMap::new(),
            }),
            _ => Err(InvalidEdge::Url),
        }
    }

    /// Adds a header to every purge: a token, or the `Host` by which an edge knows the site.
    #[must_use]
    pub fn header(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.headers.insert(name, value);
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is told without TLS.
    pub(crate) fn is_plain(&self) -> bool {
        self.url.scheme() == "http"
    }

    /// Has it forget all that is filed under one of `keys`.
    pub(crate) async fn purge(
        &self,
        client: &reqwest::Client,
        keys: &[SurrogateKey],
    ) -> Result<(), PurgeError> {
        let method = match self.protocol {
            Protocol::Ban => Method::from_bytes(b"BAN").expect("three letters make a method"),
            Protocol::Post => Method::POST,
        };
        let request = client
            .request(method, self.url.clone())
            .headers(self.headers.clone())
            .header("Surrogate-Key", written(keys));
        let status = match request.send().await {
            Ok(response) => response.status(),
            Err(error) => {
                return Err(PurgeError::Unreachable {
                    edge: self.name.clone(),
                    source: error.without_url().into(),
                });
            }
        };
        match status.is_success() {
            true => Ok(()),
            false => Err(PurgeError::Refused {
                edge: self.name.clone(),
                status,
            }),
        }
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edge")
            .field("name", &self.name)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}
