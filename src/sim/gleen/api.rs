//! `POST /api/v1/send_message`: checks the call, takes the question up, thinks,
//! answers.
//!
//! Types are taken strictly: `null` is not a string, and a number is no thread.

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Json, Router};
use serde_json::{Value, json};

use super::knowledge;
use super::options::{Answer, GleenOptions};
use super::world::{Question, UnknownThread, World};
use crate::sim::front::{self, Call};
use crate::sim::watched::Watched;

/// The API, behind the front and authentication.
pub(crate) fn router(world: Watched<World>) -> Router {
    Router::new()
        .route("/api/v1/send_message", post(send_message))
        // An address with a path of its own tells one caller from another.
        .route("/{caller}/api/v1/send_message", post(send_message))
        .fallback(async || refuse(StatusCode::NOT_FOUND, "not found"))
        .layer(middleware::from_fn_with_state(world.clone(), authenticate))
        .layer(middleware::from_fn_with_state(world.clone(), front::pass))
        .with_state(world)
}

async fn authenticate(
    State(world): State<Watched<World>>,
    request: Request,
    next: Next,
) -> Response {
    let expected = world.read(|world| format!("Bearer {}", world.options.api_key));
    let given = request.headers().get(header::AUTHORIZATION);
    if given.is_some_and(|given| given.as_bytes() == expected.as_bytes()) {
        next.run(request).await
    } else {
        refuse(StatusCode::UNAUTHORIZED, "invalid api key")
    }
}

async fn send_message(
    State(world): State<Watched<World>>,
    Extension(call): Extension<Call>,
    body: Bytes,
) -> Response {
    let asked = match Asked::parse(&body) {
        Ok(asked) => asked,
        Err(detail) => return refuse(StatusCode::BAD_REQUEST, detail),
    };
    let taken_up = world.change(|world| {
        let question = world.ask(call, &asked.text, asked.thread_id.as_deref(), asked.locale);
        question.map(|question| (question, world.scripted.pop_front(), world.options.clone()))
    });
    let Ok((question, scripted, options)) = taken_up.map_err(|UnknownThread| ()) else {
        let status = world.read(|world| world.options.unknown_thread_status);
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
        return refuse(status, "thread not found");
    };
    tokio::time::sleep(options.think_time).await;
    let answer = scripted.unwrap_or_else(|| think(&question, &options));
    world.change(|world| world.record_answer(&question, &answer));
    render(answer, &question, &options)
}

fn think(question: &Question, options: &GleenOptions) -> Answer {
    match &options.responder {
        Some(responder) => (responder.0)(question),
        None => knowledge::answer(question, options.when_unknown),
    }
}

fn render(answer: Answer, question: &Question, options: &GleenOptions) -> Response {
    let thread_id = match question.thread_id.parse::<u64>() {
        Ok(number) if options.thread_id_as_number => json!(number),
        _ => json!(question.thread_id),
    };
    let usual = |text: String, handoff: bool| {
        let mut body = json!({ "thread_id": thread_id, "handoff": handoff });
        body[&options.answer_field] = json!(text);
        Json(body).into_response()
    };
    match answer {
        Answer::Text(text) => usual(text, false),
        Answer::HandOff(text) => usual(text, true),
        Answer::Json(body) => Json(body).into_response(),
        Answer::Raw(body) => ([(header::CONTENT_TYPE, "application/json")], body).into_response(),
    }
}

fn refuse(status: StatusCode, detail: &str) -> Response {
    (status, Json(json!({ "error": detail }))).into_response()
}

struct Asked {
    text: String,
    thread_id: Option<String>,
    locale: Option<String>,
}

impl Asked {
    fn parse(body: &[u8]) -> Result<Self, &'static str> {
        let body: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        if !body.is_object() {
            return Err("the body must be a JSON object");
        }
        let text =
            optional_string(&body, "query_text").map_err(|_| "query_text must be a string")?;
        let text = text
            .filter(|text| !text.trim().is_empty())
            .ok_or("query_text is required")?;
        let thread_id =
            optional_string(&body, "thread_id").map_err(|_| "thread_id must be a string")?;
        let locale = optional_string(&body, "locale").map_err(|_| "locale must be a string")?;
        if body.get("stream").is_some_and(|stream| stream != false) {
            return Err("the simulator does not stream");
        }
        Ok(Self {
            text,
            thread_id: thread_id.filter(|id| !id.is_empty()),
            locale,
        })
    }
}

struct NotAString;

fn optional_string(body: &Value, field: &str) -> Result<Option<String>, NotAString> {
    match body.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(NotAString),
    }
}
