//! The parts of a request, and of a start, that take processor time:
//! `cargo bench -p directives`.

#[path = "../tests/common/hot.rs"]
mod hot;

use std::fmt::Write;
use std::hint::black_box;

use bytes::{BufMut, BytesMut};
use criterion::{BatchSize, Criterion, Throughput};
use directives::fcgi::record::{Decoder, Record, header, kind};
use directives::modules::fastcgi::response;
use directives::{Effect, Next, Run};
use hot::{Place, drive, encode};

/// Sections of the other kinds.
const SECTIONS: &str = "
<Directory {root}/htdocs/a>
    AddDefaultCharset utf-8
</Directory>
<FilesMatch \\.html$>
    AddHandler default-handler .never
</FilesMatch>
<Location /a/b>
    SetEnv PLACE b
</Location>
";

/// A server with sections of each kind and an application.
fn conf() -> String {
    [hot::CONF, SECTIONS].concat()
}

/// So many virtual hosts, each with a section.
fn large(hosts: usize) -> String {
    let mut conf = conf();
    for i in 0..hosts {
        write!(
            conf,
            "<VirtualHost *:80>\nServerName h{i}.example.org\nDocumentRoot {{root}}/htdocs\n\
             <Location /here{i}>\nAddDefaultCharset utf-8\n</Location>\n</VirtualHost>\n"
        )
        .expect("a string");
    }
    conf
}

fn compile(c: &mut Criterion) {
    let mut group = c.benchmark_group("compile");
    group.sample_size(10);
    for hosts in [1, 1_000] {
        let conf = large(hosts);
        group.throughput(Throughput::Elements(hosts as u64));
        group.bench_function(format!("{hosts} virtual hosts"), |b| {
            b.iter(|| Place::new("bench-compile", &conf));
        });
    }
}

/// Sections are found and merged, hooks run, a reply is made.
fn walk_and_merge(c: &mut Criterion) {
    let place = Place::new("bench-walk", &conf());
    let mut scratch = Vec::with_capacity(4096);
    for (what, target) in [("a file", "/a/b/page.html"), ("FastCGI", "/app/path?query=1")]
    {
        c.bench_function(&format!("walk and merge: {what}"), |b| {
            b.iter_batched(
                || place.request(target),
                |request| black_box(drive(request, &mut scratch)),
                BatchSize::SmallInput,
            );
        });
    }
}

fn parameters(c: &mut Criterion) {
    let place = Place::new("bench-parameters", &conf());
    let mut run = Run::new(place.request("/app/path?query=1"));
    let Next::Effect(Effect::FastCgi(call)) = run.step(None) else {
        panic!("no application is asked")
    };
    let mut scratch = Vec::with_capacity(4096);
    c.bench_function("parameters of a browser's request", |b| {
        b.iter(|| {
            scratch = encode(&call, run.request(), std::mem::take(&mut scratch));
            black_box(scratch.len())
        });
    });
}

fn response_head(c: &mut Criterion) {
    let mut head =
        b"Status: 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n".to_vec();
    for i in 0..8 {
        head.extend(format!("X-Field-{i}: some value of it\r\n").bytes());
    }
    head.extend(b"\r\n");
    let mut group = c.benchmark_group("head of a response");
    group.throughput(Throughput::Bytes(head.len() as u64));
    group.bench_function("its end", |b| {
        b.iter(|| response::head_end(black_box(&head), 0));
    });
    group.bench_function("its fields", |b| b.iter(|| response::parse(black_box(&head))));
}

/// An answer of a megabyte, in pieces as a socket gives them.
fn records(c: &mut Criterion) {
    const CONTENT: u16 = 32_760;
    let mut answer = BytesMut::new();
    for _ in 0..32 {
        answer.put_slice(&header(kind::STDOUT, CONTENT));
        answer.put_bytes(b'x', CONTENT.into());
    }
    answer.put_slice(&header(kind::END_REQUEST, 8));
    answer.put_bytes(0, 8);
    let mut group = c.benchmark_group("records");
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("decoding 1 MiB", |b| {
        b.iter_batched(
            || answer.clone(),
            |mut input| {
                let (mut decoder, mut bytes) = (Decoder::default(), 0);
                loop {
                    match decoder.next(&mut input).expect("records") {
                        Some(Record::Stdout(piece)) => bytes += piece.len(),
                        Some(Record::Stderr(_)) => {}
                        Some(Record::End) | None => return bytes,
                    }
                }
            },
            BatchSize::LargeInput,
        );
    });
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    compile(&mut criterion);
    walk_and_merge(&mut criterion);
    parameters(&mut criterion);
    response_head(&mut criterion);
    records(&mut criterion);
    criterion.final_summary();
}
