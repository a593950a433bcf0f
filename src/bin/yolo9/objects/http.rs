//! HTTP for the crate `object_store` by the client that the program has already: `reqwest` with its own TLS would double
//! the build.

use std::io::Read;

use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use ureq::Agent;
use ureq::http::header::CONTENT_LENGTH;
use yolo9::hub::RetryPolicy;

/// Bytes of an answer that are taken at once.
const PIECE: usize = 64 << 10;
/// Bytes of an answer that does not say how long it is, such as a listing: an object's is compared with a limit before it is read.
const MAX_UNSAID: u64 = 64 << 20;

/// Makes the clients of stores.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let patience = RetryPolicy::default().silence;
        let agent = Agent::config_builder()
            .user_agent(concat!("yolo9/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            // WebDAV's PROPFIND.
            .allow_non_standard_methods(true)
            .timeout_connect(Some(patience))
            .timeout_recv_response(Some(patience))
            .timeout_per_read(Some(patience))
            .build()
            .new_agent();
        Ok(HttpClient::new(Blocking(agent)))
    }
}

/// Requests that take their thread for as long as they last. Every caller has a thread of its own (`store::wait`).
#[derive(Debug)]
struct Blocking(Agent);

#[async_trait::async_trait]
impl HttpService for Blocking {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let request = ureq::http::Request::from_parts(head, body.to_vec());
        let response = self.0.run(request).map_err(failed)?;
        let (head, body) = response.into_parts();
        let said = head.headers.contains_key(CONTENT_LENGTH) && head.status != ureq::http::StatusCode::MULTI_STATUS;
        let limit = if said { u64::MAX } else { MAX_UNSAID };
        let mut reader = body.into_with_config().limit(limit).reader();
        let pieces = std::iter::from_fn(move || {
            let mut piece = vec![0; PIECE];
            match reader.read(&mut piece) {
                Ok(0) => None,
                Ok(length) => {
                    piece.truncate(length);
                    Some(Ok(Frame::data(piece.into())))
                }
                Err(error) => Some(Err(failed(error.into()))),
            }
        });
        let body = StreamBody::new(futures_util::stream::iter(pieces));
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(body)))
    }
}

fn failed(error: ureq::Error) -> HttpError {
    let kind = match &error {
        ureq::Error::Timeout(_) => HttpErrorKind::Timeout,
        ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => HttpErrorKind::Connect,
        ureq::Error::Io(_) => HttpErrorKind::Interrupted,
        _ => HttpErrorKind::Unknown,
    };
    HttpError::new(kind, error)
}
