//! What every call to a simulator passes first: it is recorded, admitted or
//! refused, and spoiled if a fault says so.
//!
//! A caller that goes away drops the call where it stands, as hyper does for a
//! real server: what has happened stays, what has not never will.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::fault::{FaultBook, Reply, What};
use super::operation::Operation;
use super::sequence;
use super::server::Cut;
use super::watched::Watched;

/// One call that reached a simulator.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// Its place among all that happened in this process's simulators.
    pub sequence: u64,
    /// When it arrived.
    pub at: Instant,
    /// What it was.
    pub operation: Operation,
    /// Its method.
    pub method: String,
    /// Its path, without the query.
    pub path: String,
    /// What it was answered; `None` while it runs, and for ever if the
    /// connection was cut or the caller left.
    pub status: Option<u16>,
    /// When it ended; `None` while it runs.
    pub ended_at: Option<Instant>,
    /// A fault kept its caller from an answer that could be used.
    pub spoiled: bool,
}

/// The place in the sequence of the call that a request is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call(pub(crate) u64);

/// The calls so far and the faults in force: a part of each simulator's world.
#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) requests: Vec<RecordedRequest>,
    pub(crate) faults: FaultBook,
    pub(crate) in_flight: usize,
    pub(crate) max_in_flight: usize,
}

impl Ledger {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            requests: Vec::new(),
            faults: FaultBook::new(seed),
            in_flight: 0,
            max_in_flight: 0,
        }
    }
}

/// What the front needs of a simulator's world.
pub(crate) trait Fronted: Send + 'static {
    /// Its record of calls.
    fn ledger(&mut self) -> &mut Ledger;

    /// How long a call is on its way here, and its answer on the way back.
    fn latency(&mut self) -> [Duration; 2] {
        [Duration::ZERO; 2]
    }

    /// Headers for the answer, whatever it is, and the answer itself if the
    /// call is refused.
    fn admit(&mut self) -> (HeaderMap, Option<Response>) {
        (HeaderMap::new(), None)
    }
}

/// The middleware. Goes around everything else.
pub(crate) async fn pass<W: Fronted>(
    State(world): State<Watched<W>>,
    mut request: Request,
    next: Next,
) -> Response {
    let [there, back] = world.change(Fronted::latency);
    travel(there).await;
    let arrival = world.change(|world| arrive(world, &request));
    request.extensions_mut().insert(arrival.call);
    let mut visit = Visit {
        world,
        index: arrival.index,
        status: None,
    };
    let mut response = match arrival.refusal {
        Some(refusal) => refusal,
        None => carry_out(arrival.fault, request, next).await,
    };
    response.headers_mut().extend(arrival.headers);
    if response.extensions().get::<Cut>().is_none() {
        visit.status = Some(response.status().as_u16());
    }
    travel(back).await;
    response
}

async fn travel(time: Duration) {
    // A timer is a millisecond late, which no call without latency should cost.
    if !time.is_zero() {
        tokio::time::sleep(time).await;
    }
}

struct Arrival {
    index: usize,
    call: Call,
    headers: HeaderMap,
    refusal: Option<Response>,
    fault: Option<What>,
}

fn arrive<W: Fronted>(world: &mut W, request: &Request) -> Arrival {
    let operation = Operation::of(request.method(), request.uri().path());
    let (headers, refusal) = world.admit();
    let ledger = world.ledger();
    let index = ledger.requests.len();
    let fault = if refusal.is_none() {
        ledger.faults.decide(operation, request.uri().path())
    } else {
        None
    };
    let sequence = sequence::next();
    ledger.requests.push(RecordedRequest {
        sequence,
        at: Instant::now(),
        operation,
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        status: None,
        ended_at: None,
        spoiled: fault.as_ref().is_some_and(What::spoils_the_answer),
    });
    ledger.in_flight += 1;
    ledger.max_in_flight = ledger.max_in_flight.max(ledger.in_flight);
    Arrival {
        index,
        call: Call(sequence),
        headers,
        refusal,
        fault,
    }
}

/// Ends the call in the ledger however it ends, also by being dropped.
struct Visit<W: Fronted> {
    world: Watched<W>,
    index: usize,
    status: Option<u16>,
}

impl<W: Fronted> Drop for Visit<W> {
    fn drop(&mut self) {
        self.world.change(|world| {
            let ledger = world.ledger();
            ledger.in_flight -= 1;
            if let Some(request) = ledger.requests.get_mut(self.index) {
                request.status = self.status;
                request.ended_at = Some(Instant::now());
            }
        });
    }
}

async fn carry_out(fault: Option<What>, request: Request, next: Next) -> Response {
    match fault {
        None => next.run(request).await,
        Some(What::Status(reply)) => made_up(reply),
        Some(What::Delay(delay)) => {
            tokio::time::sleep(delay).await;
            next.run(request).await
        }
        Some(What::DelayAfter(delay)) => {
            let response = next.run(request).await;
            tokio::time::sleep(delay).await;
            response
        }
        Some(What::CutBefore) => Cut::response(),
        Some(What::CutAfter) => {
            next.run(request).await;
            Cut::response()
        }
        Some(What::CutThenLand(gate)) => {
            // A task of its own: the caller's leaving does not stop it.
            tokio::spawn(async move {
                gate.pass().await;
                next.run(request).await;
            });
            Cut::response()
        }
        Some(What::StatusAfter(status)) => {
            next.run(request).await;
            made_up(Reply {
                status,
                ..Reply::default()
            })
        }
        Some(What::Garbage) => "<html><body>It works!</body></html>".into_response(),
        Some(What::Hold(gate)) => {
            gate.pass().await;
            next.run(request).await
        }
        Some(What::HoldAnswer(gate)) => {
            let response = next.run(request).await;
            gate.pass().await;
            response
        }
    }
}

fn made_up(reply: Reply) -> Response {
    let mut response = Response::new(Body::from(reply.body));
    *response.status_mut() =
        StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    for (name, value) in reply.headers {
        let name = HeaderName::try_from(name);
        let value = HeaderValue::try_from(value);
        if let (Ok(name), Ok(value)) = (name, value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}
