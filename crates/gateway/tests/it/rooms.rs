//! All rooms in one server that answers every call: as it was told to, else with an empty message.

use std::{
    collections::HashMap,
    future::{Ready, ready},
    sync::{Arc, Mutex},
};

use axum::{Router, extract::State};
use bytes::{Buf, BufMut, Bytes};
use prost::Message;
use tonic::{
    Request, Response, Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    metadata::MetadataMap,
    server::{Grpc, UnaryService},
    service::Routes,
    transport::{Server, server::TcpIncoming},
};

type Answer = Arc<dyn Fn(&[u8]) -> Result<Vec<u8>, Status> + Send + Sync>;

/// A call that a room got.
#[derive(Clone)]
pub(crate) struct Call {
    /// `accord.sync.v1.Sync/GetRecord`
    pub(crate) method: String,
    pub(crate) metadata: MetadataMap,
    body: Bytes,
}

impl Call {
    pub(crate) fn message<T: Message + Default>(&self) -> T {
        T::decode(self.body.clone()).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.metadata.get(name)?.to_str().ok()
    }
}

#[derive(Clone, Default)]
pub(crate) struct Rooms {
    answers: Arc<Mutex<HashMap<String, Answer>>>,
    calls: Arc<Mutex<Vec<Call>>>,
}

impl Rooms {
    /// Serves on a free port for the rest of the test; gives the address.
    pub(crate) async fn serve(&self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let routes = Routes::from(Router::new().fallback(answer).with_state(self.clone()));
        let server = Server::builder().add_routes(routes);
        tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true))));
        url
    }

    /// How to answer a method from now on.
    pub(crate) fn on<Q, A>(
        &self,
        method: &str,
        answer: impl Fn(Q) -> Result<A, Status> + Send + Sync + 'static,
    ) where
        Q: Message + Default,
        A: Message,
    {
        let answer =
            move |body: &[u8]| answer(Q::decode(body).unwrap()).map(|message| message.encode_to_vec());
        self.answers.lock().unwrap().insert(method.to_owned(), Arc::new(answer));
    }

    pub(crate) fn calls(&self) -> Vec<Call> {
        self.calls.lock().unwrap().clone()
    }

    /// The last call of a method.
    pub(crate) fn last_of(&self, method: &str) -> Call {
        let called = self.calls().into_iter().rev().find(|call| call.method == method);
        called.unwrap_or_else(|| panic!("{method} was not called"))
    }

    pub(crate) fn last(&self) -> Call {
        self.calls().pop().expect("a room was called")
    }
}

async fn answer(
    State(rooms): State<Rooms>,
    request: axum::extract::Request,
) -> http::Response<tonic::body::Body> {
    let method = request.uri().path().trim_start_matches('/').to_owned();
    Grpc::new(RawCodec).unary(Method { rooms, method }, request).await
}

struct Method {
    rooms: Rooms,
    method: String,
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (metadata, _, body) = request.into_parts();
        let call = Call { method: self.method.clone(), metadata, body: body.clone() };
        self.rooms.calls.lock().unwrap().push(call);
        let told = self.rooms.answers.lock().unwrap().get(&self.method).cloned();
        let answer = told.map_or_else(|| Ok(Vec::new()), |answer| answer(&body));
        ready(answer.map(|body| Response::new(Bytes::from(body))))
    }
}

/// Messages as bytes, whatever they are.
#[derive(Clone, Copy, Default)]
struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = buffer.remaining();
        Ok(Some(buffer.copy_to_bytes(length)))
    }
}
