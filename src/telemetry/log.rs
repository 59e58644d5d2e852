//! Log lines: one JSON object each, the fields of the spans around an event
//! beside its own, so that every line of a turn carries its ids.
//!
//! A thread of its own writes them: where nobody reads stdout, lines are lost and
//! counted, and the relay goes on.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;

/// The most lines that wait to be written: a few megabytes.
const MOST_LINES: usize = 8_192;
/// How often it is looked whether lines were lost.
const LOOK_FOR_LOST: Duration = Duration::from_secs(1);

/// Writes what waits when it is dropped.
#[must_use = "lines that wait are lost without it"]
pub struct Logging {
    lost: Lost,
    _writer: WorkerGuard,
}

/// How often it is tried at the end to tell of what was lost, and how long each
/// try waits for room.
const LAST_TRIES: u32 = 20;
const LAST_TRY: Duration = Duration::from_millis(10);

/// Lines that nobody read fast enough, and how many of them were told of.
#[derive(Clone)]
struct Lost {
    counter: ErrorCounter,
    told: Told,
}

#[derive(Clone, Default)]
struct Told(Arc<AtomicUsize>);

impl Logging {
    /// Tells in the log, for as long as it is polled, that lines were lost.
    pub fn tell_of_lost(&self) -> impl Future<Output = ()> + use<> {
        let lost = self.lost.clone();
        async move {
            loop {
                tokio::time::sleep(LOOK_FOR_LOST).await;
                lost.tell();
            }
        }
    }
}

impl Drop for Logging {
    #[expect(
        clippy::disallowed_methods,
        reason = "the process ends, and waits only if its log is full"
    )]
    fn drop(&mut self) {
        for _ in 0..LAST_TRIES {
            if self.lost.tell() {
                break;
            }
            std::thread::sleep(LAST_TRY);
        }
    }
}

impl Lost {
    /// False if this was lost as well.
    fn tell(&self) -> bool {
        let lost = || self.counter.dropped_lines();
        self.told.tell(lost, |lines| {
            tracing::warn!(
                lines,
                "log lines were lost, because nobody read stdout fast enough"
            );
        })
    }
}

impl Told {
    /// Tells of what was lost since it was told. If more is lost meanwhile, it may be
    /// the telling: then it is told again the next time. False if so.
    fn tell(&self, lost: impl Fn() -> usize, tell: impl FnOnce(usize)) -> bool {
        let lines = lost();
        let untold = lines.saturating_sub(self.0.load(Ordering::Relaxed));
        if untold == 0 {
            return true;
        }
        tell(untold);
        let is_told = lost() == lines;
        if is_told {
            self.0.store(lines, Ordering::Relaxed);
        }
        is_told
    }
}

/// Starts logging to stdout. A second call in one process has no effect, so
/// that tests may boot several relays.
pub fn start_logging(filter: &str, format: Option<LogFormat>) -> Logging {
    let (stdout, writer) = NonBlockingBuilder::default()
        .buffered_lines_limit(MOST_LINES)
        .thread_name("log")
        .finish(std::io::stdout());
    let lost = Lost {
        counter: stdout.error_counter(),
        told: Told::default(),
    };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let on_terminal = if std::io::stdout().is_terminal() {
        LogFormat::Pretty
    } else {
        LogFormat::Json
    };
    let layer: Box<dyn Layer<Registry> + Send + Sync> = match format.unwrap_or(on_terminal) {
        LogFormat::Json => tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(FlatJson)
            .with_writer(stdout)
            .boxed(),
        LogFormat::Pretty => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stdout().is_terminal())
            .with_writer(stdout)
            .compact()
            .boxed(),
    };
    let words_stay_out = tracing_subscriber::filter::filter_fn(speaks_no_words);
    let layer = layer.with_filter(words_stay_out).with_filter(filter);
    // A panic's message may quote what it was about; the place is enough.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "panicked; please report this");
    }));
    // It fails only if a subscriber is set already, which is the second call.
    let _: Result<(), _> = tracing_subscriber::registry().with(layer).try_init();
    Logging {
        lost,
        _writer: writer,
    }
}

/// Libraries may log what passes through them below `info`; bodies hold
/// customers' words, so that detail is never let through.
fn speaks_no_words(metadata: &Metadata<'_>) -> bool {
    metadata.target().starts_with("gladly_relay") || *metadata.level() <= Level::INFO
}

/// Writes an event and the fields of its spans as one flat JSON object.
struct FlatJson;

impl<S> FormatEvent<S, JsonFields> for FlatJson
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".into(), Timestamp::now().to_string().into());
        line.insert("level".into(), metadata.level().as_str().into());
        line.insert("target".into(), metadata.target().into());
        for span in context
            .event_scope()
            .into_iter()
            .flat_map(tracing_subscriber::registry::Scope::from_root)
        {
            let extensions = span.extensions();
            let fields = extensions.get::<FormattedFields<JsonFields>>();
            if let Some(Ok(Value::Object(fields))) =
                fields.map(|fields| serde_json::from_str(&fields.fields))
            {
                line.extend(fields);
            }
        }
        event.record(&mut Fields(&mut line));
        writeln!(writer, "{}", Value::Object(line))
    }
}

/// Collects an event's fields; numbers and flags stay what they are.
struct Fields<'a>(&'a mut Map<String, Value>);

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_i128(&mut self, field: &Field, value: i128) {
        match i64::try_from(value) {
            Ok(value) => self.record_i64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_u128(&mut self, field: &Field, value: u128) {
        match u64::try_from(value) {
            Ok(value) => self.record_u64(field, value),
            Err(_) => self.record_debug(field, &value),
        }
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name().into(), value.into());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0
            .insert(field.name().into(), format!("{value:?}").into());
    }
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::io::{self, Write};
    use std::sync::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn numbers_of_every_size_are_numbers() {
        let written = Written::default();
        let writes = written.clone();
        let layer = tracing_subscriber::fmt::layer()
            .fmt_fields(JsonFields::new())
            .event_format(FlatJson)
            .with_writer(move || writes.clone());
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            let took = Duration::from_millis(7).as_millis();
            tracing::info!(
                took,
                low = -3_i128,
                small = 1_u8,
                share = 0.5,
                huge = u128::MAX
            );
        });
        let line: Value = serde_json::from_slice(&written.0.lock().unwrap()).unwrap();
        assert_eq!(line["took"], 7);
        assert_eq!((&line["low"], &line["small"]), (&(-3).into(), &1.into()));
        assert_eq!(line["share"], 0.5);
        assert_eq!(line["huge"], u128::MAX.to_string());
    }

    #[test]
    fn lost_lines_are_told_of_until_the_telling_is_not_lost() {
        let (told, lost, has_room) = (Told::default(), Cell::new(0), Cell::new(false));
        let said = RefCell::new(Vec::new());
        let tell = || {
            told.tell(
                || lost.get(),
                |lines| {
                    if has_room.get() {
                        said.borrow_mut().push(lines);
                    } else {
                        lost.set(lost.get() + 1);
                    }
                },
            )
        };
        assert!(tell(), "there is nothing to tell");
        lost.set(10);
        assert!(!tell());
        assert!(!tell());
        has_room.set(true);
        assert!(tell() && tell());
        lost.set(15);
        assert!(tell());
        assert_eq!(*said.borrow(), [12, 3]);
    }
}
