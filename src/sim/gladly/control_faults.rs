//! Faults through the control API: `POST /sim/faults` takes
//! `{"service":"gladly"|"gleen", "operation"?, "about"?, "when"?, "what"}`.
//!
//! - `operation`: a word of [`Operation`], such as `"reply"`; absent for all.
//! - `about`: the id of a conversation or item; only calls whose path names it.
//! - `when`: `{"next":2}`, `{"nth":3}`, `"always"` or `{"probability":0.1}`;
//!   absent for the next one.
//! - `what`: `{"status":{"status":503,"headers":{"Retry-After":"2"},"body":"{}"}}`,
//!   `{"status_after":502}`, `{"delay_ms":500}`, `{"delay_after_ms":500}`,
//!   `"cut_before"`, `"cut_after"` or `"garbage"`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;

use super::Shared;
use super::problem::Problem;
use crate::sim::fault::{Fault, Reply, What, When};
use crate::sim::front::Fronted;
use crate::sim::operation::Operation;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultBody {
    service: Service,
    operation: Option<String>,
    about: Option<String>,
    when: Option<WhenBody>,
    what: WhatBody,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Service {
    Gladly,
    Gleen,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhenBody {
    Next(u32),
    Nth(u32),
    Always,
    Probability(f64),
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum WhatBody {
    Status {
        status: u16,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        body: String,
    },
    StatusAfter(u16),
    DelayMs(u64),
    DelayAfterMs(u64),
    CutBefore,
    CutAfter,
    Garbage,
}

pub(crate) async fn add_fault(
    State(shared): State<Arc<Shared>>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let body: FaultBody = serde_json::from_slice(&body)
        .map_err(|error| Problem::malformed(format!("not a fault: {error}")))?;
    let unknown = || Problem::bad("operation", "invalid", "operation is not known");
    let operation = body
        .operation
        .map(|word| Operation::from_word(&word).ok_or_else(unknown))
        .transpose()?;
    let fault = Fault {
        operation,
        when: when(body.when),
        what: what(body.what),
    };
    match body.service {
        Service::Gladly => shared
            .world
            .change(|world| world.ledger().faults.add(body.about, fault)),
        Service::Gleen => {
            let no_gleen =
                || Problem::bad("service", "invalid", "no Gleen runs beside this Gladly");
            let gleen = shared.gleen.get().ok_or_else(no_gleen)?;
            match body.about {
                Some(id) => gleen.fault_about(&id, fault),
                None => gleen.fault(fault),
            }
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn clear_faults(State(shared): State<Arc<Shared>>) -> StatusCode {
    shared.world.change(|world| world.ledger().faults.clear());
    if let Some(gleen) = shared.gleen.get() {
        gleen.clear_faults();
    }
    StatusCode::NO_CONTENT
}

fn when(body: Option<WhenBody>) -> When {
    match body {
        None => When::Next(1),
        Some(WhenBody::Next(count)) => When::Next(count),
        Some(WhenBody::Nth(number)) => When::Nth(number),
        Some(WhenBody::Always) => When::Always,
        Some(WhenBody::Probability(probability)) => When::Probability(probability),
    }
}

fn what(body: WhatBody) -> What {
    match body {
        WhatBody::Status {
            status,
            headers,
            body,
        } => What::Status(Reply {
            status,
            headers: headers.into_iter().collect(),
            body,
        }),
        WhatBody::StatusAfter(status) => What::StatusAfter(status),
        WhatBody::DelayMs(millis) => What::Delay(Duration::from_millis(millis)),
        WhatBody::DelayAfterMs(millis) => What::DelayAfter(Duration::from_millis(millis)),
        WhatBody::CutBefore => What::CutBefore,
        WhatBody::CutAfter => What::CutAfter,
        WhatBody::Garbage => What::Garbage,
    }
}
