//! A request that is served as any other, and whose client gets an explanation for an
//! answer: see `ExplainTrustedClient`.

use std::future::poll_fn;

use bytes::Bytes;
use directives::explain::{self, Record};
use directives::modules::explain::Form;
use directives::reply::{Body, Headers, Reply};
use directives::run::trace::What;
use directives::run::{Next, Run};
use tokio::time::Instant;

use super::drive::World;
use super::filter::Filtered;
use super::respond::{source, tools};
use crate::fcgi::Event;

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
        let sent = drain(reply.clone(), world, run).await;
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

/// Reads the answer's body to its end, through its filters; it is nobody's. The result is
/// its length, bytes.
async fn drain(mut reply: Reply, world: &mut World, run: &mut Run) -> u64 {
    let mut sent = 0;
    if reply.body == Body::Raw {
        let Some(mut answered) = world.answered.take() else { return 0 };
        loop {
            let event = poll_fn(|cx| answered.source.poll_event(cx)).await;
            answered.source.write_lines(&world.generation, run.request());
            match event {
                Ok(Event::Stdout(bytes)) => sent += bytes.len() as u64,
                Ok(Event::End) => return sent,
                Err(failure) => {
                    answered.source.failed(&failure);
                    return sent;
                }
            }
        }
    }
    let filters = std::mem::take(&mut reply.filters);
    let Some(source) = source(&mut reply, world) else {
        // Nothing, or a protocol that is not changed to.
        world.shared.tunnel.set(false);
        return 0;
    };
    let mut filtered = Filtered::new(source, filters, tools(world));
    while let Some(Ok(bytes)) = poll_fn(|cx| filtered.poll_next(cx)).await {
        sent += bytes.len() as u64;
    }
    let lines = std::mem::take(&mut *filtered.pipe().lines.borrow_mut());
    run.request_mut().lines.extend(lines);
    sent
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
        let is_kept = |kept: &&str| name.eq_ignore_ascii_case(kept.as_bytes());
        if KEPT.iter().any(|kept| is_kept(&kept)) {
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
        filters: Vec::new(),
        rate: None,
        close: reply.close,
        header_only: false,
    }
}
