//! One request and its answer, over HTTP.

use std::{error::Error, fmt, sync::Arc};

use chrono::{DateTime, SecondsFormat, Utc};
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE},
};
use reqwest::{Client, Response, Url, redirect::Policy};
use rustls::{ClientConfig, RootCertStore, crypto::ring};
use rustls_platform_verifier::BuilderVerifierExt;

use crate::source::{
    answer::{self, Offered},
    builder::{CalcomApi, CalcomBuildError},
    error::{CalcomError, Unreadable},
    event_type::{Name, Owner},
    retry_after,
};

/// The most bytes that an answer may have: 8 MiB. Two months of slots every five minutes take two.
pub const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Asks one server with one key.
pub(crate) struct Exchange {
    http: Client,
    base: Url,
    /// Marked as sensitive: nothing that prints headers prints it.
    authorization: HeaderValue,
    api: CalcomApi,
}

/// What one request asks for.
#[derive(Debug)]
pub(crate) struct Question<'a> {
    pub(crate) name: &'a Name,
    pub(crate) start: DateTime<Utc>,
    pub(crate) end: DateTime<Utc>,
    pub(crate) zone: &'a str,
    /// In minutes.
    pub(crate) duration: Option<u64>,
}

impl Exchange {
    pub(crate) fn new(base: &str, api_key: &str, api: CalcomApi) -> Result<Self, CalcomBuildError> {
        let base = Url::parse(base).map_err(|_| CalcomBuildError::BaseUrl)?;
        let plain = match base.scheme() {
            "https" => false,
            "http" => true,
            _ => return Err(CalcomBuildError::BaseUrl),
        };
        if !base.username().is_empty() || base.password().is_some() || base.query().is_some() {
            return Err(CalcomBuildError::BaseUrl);
        }
        if api_key.trim().is_empty() {
            return Err(CalcomBuildError::ApiKey);
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {api_key}"))
            .map_err(|_| CalcomBuildError::ApiKey)?;
        authorization.set_sensitive(true);
        let http = Client::builder()
            .tls_backend_preconfigured(tls(plain).map_err(CalcomBuildError::Tls)?)
            // A redirect would carry the key to wherever it points.
            .redirect(Policy::none())
            .user_agent(concat!("vacancy-calcom/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| CalcomBuildError::Tls(Box::new(error)))?;
        Ok(Self {
            http,
            base,
            authorization,
            api,
        })
    }

    /// Where the question is asked.
    pub(crate) fn url(&self, question: &Question<'_>) -> Result<Url, CalcomError> {
        let mut url = self.base.clone();
        let (path, start, end): (&[&str], _, _) = match self.api {
            CalcomApi::V2024_09_04 => (&["v2", "slots"], "start", "end"),
            CalcomApi::V2024_04_15 => (&["v2", "slots", "available"], "startTime", "endTime"),
        };
        // A base of http or https has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        let instant = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let mut query = url.query_pairs_mut();
        query
            .append_pair(start, &instant(question.start))
            .append_pair(end, &instant(question.end))
            .append_pair("timeZone", question.zone);
        match (question.name, self.api) {
            (Name::Id(id), _) => {
                query.append_pair("eventTypeId", &id.to_string());
            }
            (Name::Slug { .. }, CalcomApi::V2024_04_15) => return Err(CalcomError::NeedsId),
            (
                Name::Slug {
                    slug,
                    owner,
                    organization,
                },
                CalcomApi::V2024_09_04,
            ) => {
                query.append_pair("eventTypeSlug", slug);
                match owner {
                    Owner::User(user) => query.append_pair("username", user),
                    Owner::Team(team) => query.append_pair("teamSlug", team),
                };
                if let Some(organization) = organization {
                    query.append_pair("organizationSlug", organization);
                }
            }
        }
        if self.api == CalcomApi::V2024_09_04 {
            query.append_pair("format", "range");
        }
        if let Some(minutes) = question.duration {
            query.append_pair("duration", &minutes.to_string());
        }
        drop(query);
        Ok(url)
    }

    pub(crate) async fn ask(&self, url: Url) -> Result<Vec<Offered>, CalcomError> {
        let asked = self
            .http
            .get(url)
            .header(AUTHORIZATION, self.authorization.clone())
            .header(ACCEPT, "application/json")
            .header("cal-api-version", self.api.version());
        let response = asked.send().await.map_err(unreachable)?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::TOO_MANY_REQUESTS => {
                return Err(CalcomError::RateLimited {
                    retry_after: retry_after::of(response.headers()),
                });
            }
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                return Err(CalcomError::Unauthorized {
                    status: status.as_u16(),
                });
            }
            status => {
                return Err(CalcomError::Refused {
                    status: status.as_u16(),
                });
            }
        }
        if !is_json(response.headers()) {
            return Err(Unreadable::ContentType.into());
        }
        let body = body(response).await?;
        Ok(answer::read(self.api, &body)?)
    }
}

/// The settings of TLS, of this client alone: those of the process, where none or another provider of
/// cryptography may be installed, are neither needed nor touched.
fn tls(plain: bool) -> Result<ClientConfig, Box<dyn Error + Send + Sync>> {
    let provider = Arc::new(ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    let config = match plain {
        // Trusts nobody, and needs no certificates of the machine.
        true => config.with_root_certificates(RootCertStore::empty()),
        false => config.with_platform_verifier()?,
    };
    Ok(config.with_no_client_auth())
}

fn is_json(headers: &HeaderMap) -> bool {
    let declared = headers.get(CONTENT_TYPE).and_then(|it| it.to_str().ok());
    declared
        .and_then(|it| it.split(';').next())
        .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
}

async fn body(mut response: Response) -> Result<Vec<u8>, CalcomError> {
    let too_long = CalcomError::Unreadable(Unreadable::TooLong {
        max: MAX_ANSWER_BYTES,
    });
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(unreachable)? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            return Err(too_long);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The address names users and is long; the server is known.
fn unreachable(error: reqwest::Error) -> CalcomError {
    CalcomError::Unreachable(Box::new(error.without_url()))
}

/// Without the key, and without the address, whose path may be a secret too.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange")
            .field("host", &self.base.host_str())
            .field("api", &self.api)
            .finish_non_exhaustive()
    }
}
