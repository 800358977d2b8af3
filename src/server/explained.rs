//! A request that is served as any other, and whose client gets an explanation for an
//! answer: see `ExplainTrustedClient`.

use bytes::Bytes;
use directives::explain::{self, Record};
use directives::modules::explain::Form;
use directives::reply::{Body, Headers, Reply};
use directives::run::trace::What;
use directives::run::{Next, Run};
use tokio::time::Instant;

use super::drive::World;
use super::respond::read_out;

/// Fields of the answer that are about the connection, and stay.
const KEPT: [&str; 4] = ["Date", "Server", "Connection", "Keep-Alive"];

/// The same as [`super::drive::drive`], and the answer to its end.
pub async fn drive(run: &mut Run, world: &mut World, form: Form) -> Option<Reply> {
    let begun = Instant::now();
    let r = run.request();
    let mut record = Record::new(r.snapshot.sources.clone(), r.files.clone());
    let mut answer = None;
    let reply = loop {
        run.request_mut().now = crate::log::now();
        match run.step(answer.take()) {
            Next::Effect(effect) => {
                let asked = Instant::now();
                world.counted = None;
                let said = world.perform(effect.clone(), run).await;
                let took = Some(asked.elapsed());
                record.add(&effect, run.request(), world.counted, &said, took);
                answer = Some(said);
            }
            Next::Reply(reply) => break *reply,
            Next::Looked => return None,
        }
    };
    let is_callers = run.request().gateway.is_some();
    let told = if is_callers {
        // A status means something to it.
        None
    } else {
        let mut sent = 0;
        let count = |piece: &[u8]| sent += piece.len() as u64;
        read_out(reply.clone(), world, run, count).await;
        explain::real(run, &reply, record, sent, begun.elapsed())
    };
    write_lines(run, world);
    let Some(told) = told else { return Some(reply) };
    let text = match form {
        Form::Text => told.text(),
        Form::Json => told.json(),
    };
    Some(answered(reply, form, text.into()))
}

/// Writes into the error log what belongs there: the trace has taken the lines.
fn write_lines(run: &mut Run, world: &World) {
    for step in run.trace().map(|trace| &trace.steps[..]).unwrap_or_default() {
        if let What::Line(line) = &step.what {
            world.generation.write_line(run.request(), line);
        }
    }
    world.generation.write_lines(run.request_mut());
}

/// The explanation in the answer's place.
fn answered(reply: Reply, form: Form, text: Bytes) -> Reply {
    let mut headers = Headers::default();
    for (name, value) in reply.headers.iter() {
        let is_kept = |kept: &str| name.eq_ignore_ascii_case(kept.as_bytes());
        if KEPT.iter().any(|kept| is_kept(kept)) {
            headers.add(name.clone(), value.clone());
        }
    }
    headers.set("Cache-Control", "no-store");
    headers.set("X-Content-Type-Options", "nosniff");
    headers.set("Content-Type", form.content_type());
    headers.set("Content-Length", text.len().to_string());
    Reply {
        status: 200,
        reason: None,
        headers,
        body: Body::Bytes(text),
        trailers: &[],
        filters: Vec::new(),
        rate: None,
        close: reply.close,
        header_only: false,
    }
}
