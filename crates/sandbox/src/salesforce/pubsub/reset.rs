//! Streams that end by a reset instead of a status.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame};
use tonic::Status;
use tonic::metadata::MetadataValue;

/// Trailers with this are not sent: the stream is reset in their place.
const MARK: &str = "sandbox-reset";

/// A status that no client sees.
pub(crate) fn reset() -> Status {
    let mut status = Status::unavailable("the stream is reset");
    status.metadata_mut().insert(MARK, MetadataValue::from_static("1"));
    status
}

/// The body of an answer whose stream may be reset.
#[derive(Debug)]
pub(crate) struct Resettable(pub(crate) tonic::body::Body);

impl Body for Resettable {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = std::task::ready!(Pin::new(&mut self.0).poll_frame(cx));
        Poll::Ready(frame.map(|frame| match frame?.into_trailers() {
            // As the vendor's servers do when they are taken out of service.
            Ok(trailers) if trailers.contains_key(MARK) => Err(h2::Error::from(h2::Reason::NO_ERROR).into()),
            Ok(trailers) => Ok(Frame::trailers(trailers)),
            Err(frame) => Ok(frame),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_end_stream()
    }
}
