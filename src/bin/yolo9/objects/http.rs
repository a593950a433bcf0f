//! HTTP for the crate `object_store` by the client that the program has already: `reqwest` with its own TLS would double
//! the build.

use std::io::Read;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use http_body_util::BodyExt;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use ureq::Agent;

/// How long a connection or an answer may take, and how long it may then be silent.
const SILENCE: Duration = Duration::from_secs(30);
/// Bytes of an answer that are taken at once.
const PIECE: usize = 64 << 10;

/// Makes the clients of stores.
#[derive(Debug)]
pub(super) struct Connector;

impl HttpConnector for Connector {
    fn connect(&self, _options: &ClientOptions) -> object_store::Result<HttpClient> {
        let agent = Agent::config_builder()
            .user_agent(concat!("yolo9/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .timeout_connect(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_per_read(Some(SILENCE))
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
        Ok(HttpResponse::from_parts(head, HttpResponseBody::new(Answer { reader: Box::new(body.into_reader()) })))
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
}

impl Body for Answer {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        let mut piece = vec![0; PIECE];
        Poll::Ready(match self.reader.read(&mut piece) {
            Ok(0) => None,
            Ok(length) => {
                piece.truncate(length);
                Some(Ok(Frame::data(piece.into())))
            }
            Err(error) => Some(Err(HttpError::new(HttpErrorKind::Interrupted, error))),
        })
    }
}
