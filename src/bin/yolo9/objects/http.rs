//! HTTP for the crate `object_store` by the client that the program has already: `reqwest` with its own TLS would double
//! the build.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
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
        Ok(HttpClient::new(Blocking { agent }))
    }
}

/// Requests that take their thread for as long as they last. Every caller has a thread of its own (`store::wait`).
#[derive(Debug)]
struct Blocking {
    agent: Agent,
}

#[async_trait::async_trait]
impl HttpService for Blocking {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let request = ureq::http::Request::from_parts(head, body.to_vec());
        let response = self.agent.run(request).map_err(failed)?;
        let (head, body) = response.into_parts();
        let said = head.headers.contains_key(CONTENT_LENGTH) && head.status != ureq::http::StatusCode::MULTI_STATUS;
        let answer = Answer { reader: Box::new(body.into_reader()), left: if said { u64::MAX } else { MAX_UNSAID } };
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(answer)))
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

/// The body of an answer, piece by piece.
struct Answer {
    reader: Box<dyn Read + Send + Sync>,
    /// Bytes that may still come.
    left: u64,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let mut piece = vec![0; PIECE];
        Poll::Ready(match self.reader.read(&mut piece) {
            Ok(0) => None,
            Ok(length) if length as u64 > self.left => {
                let error = format!("an answer has more than {} MB", MAX_UNSAID >> 20);
                Some(Err(HttpError::new(HttpErrorKind::Decode, std::io::Error::other(error))))
            }
            Ok(length) => {
                self.left -= length as u64;
                piece.truncate(length);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(HttpError::new(HttpErrorKind::Interrupted, error))),
        })
    }
}
