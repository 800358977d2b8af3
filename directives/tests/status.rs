//! `testdata/status`: the status pages of one report, in every form that they have.
//! `UPDATE_EXPECT=1` writes them anew.

use bytes::Bytes;
use directives::modules::fastcgi::{Address, Kind};
use directives::modules::status::{
    App, Asked, Class, Connection, Form, Gateway, Process, ProcessState, Report, SAMPLES,
    Sample, State, Thread, fastcgi, httpd,
};
use expect_test::expect_file;

/// Where the pages are kept.
const PAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/status");
/// 2026-03-01 12:00:00 UTC.
const NOW: i64 = 1_772_366_400_000_000;
const SECOND: u64 = 1_000_000;

fn connection(state: State, request: &str, accesses: u32) -> Connection {
    Connection {
        state,
        client: "192.0.2.7".to_owned(),
        host: "www.example.org:80".to_owned(),
        request: request.as_bytes().to_vec(),
        protocol: "http/1.1",
        accesses,
        bytes: 54_321,
        since: 3 * SECOND,
        took: (state != State::Writing).then_some(12_345),
    }
}

fn threads() -> Vec<Thread> {
    let first = vec![
        connection(State::Writing, "GET /app/<script>alert(1)</script> HTTP/1.1", 2),
        connection(State::KeepAlive, "GET /a.txt?b=c&d HTTP/1.1", 17),
        Connection {
            request: Vec::new(),
            protocol: "",
            host: String::new(),
            ..connection(State::Waiting, "", 0)
        },
    ];
    let second = vec![
        connection(State::Reading, "GET /a.txt HTTP/1.1", 1),
        connection(State::Closing, "HEAD / HTTP/1.0", 1),
    ];
    vec![
        Thread {
            accesses: 40_321,
            bytes: 987_654_321,
            duration: 1_234_567_890,
            connections: first,
        },
        Thread {
            accesses: 39_002,
            bytes: 123_456_789,
            duration: 987_654_321,
            connections: second,
        },
    ]
}

fn external() -> App {
    App {
        path: Bytes::from_static(b"/srv/www/php.fcgi"),
        kind: Kind::External,
        address: Address::Unix(Bytes::from_static(b"/run/php/php-fpm.sock")),
        owner: None,
        is_old: false,
        requests: 61_204,
        active: 3,
        waiting: 1,
        failures: 12,
        waited: 1_530 * SECOND,
        waits: [120, 18_500, 30_900, 8_000, 2_100, 1_200, 300, 70, 10, 3],
        history: (0..SAMPLES as u64).map(|i| 60_000 + i * 10 + i % 7 * 3).collect(),
        class: None,
    }
}

fn process(pid: u32, state: ProcessState, seconds: u64) -> Process {
    Process { pid: Some(pid), state, age: seconds * SECOND }
}

fn static_app() -> App {
    App {
        path: Bytes::from_static(b"/srv/www/tracker.fcgi"),
        kind: Kind::Static,
        address: Address::Tcp(vec!["127.0.0.1:9001".parse().expect("an address")]),
        owner: Some(("tracker".to_owned(), "www-data".to_owned())),
        requests: 17_003,
        active: 1,
        waiting: 0,
        failures: 1,
        waited: 95 * SECOND,
        waits: [2_000, 12_000, 3_000, 2, 0, 1, 0, 0, 0, 0],
        history: (0..20).map(|i| 16_000 + i * i).collect(),
        class: Some(Class {
            listens: true,
            starts: 9,
            restarts: 5,
            last_exit: Some((
                "terminated by calling exit with status '0'".to_owned(),
                NOW - 754 * SECOND as i64,
            )),
            processes: vec![
                process(4711, ProcessState::Running, 754),
                process(4712, ProcessState::Running, 93_600),
                process(4650, ProcessState::Finishing, 200_000),
                Process { pid: None, state: ProcessState::Due, age: 4 * SECOND },
            ],
            ..Class::default()
        }),
        ..external()
    }
}

/// One that does not stay alive, under a name that tries to be something else.
fn given_up() -> App {
    App {
        path: Bytes::from_static(b"/srv/\"><b>x</b>&\\\n\xc3\xa9\xff.fcgi"),
        requests: 5,
        active: 0,
        failures: 5,
        waited: 20_000,
        waits: [3, 2, 0, 0, 0, 0, 0, 0, 0, 0],
        history: vec![0, 5],
        class: Some(Class {
            listens: true,
            given_up: true,
            starts: 4,
            restarts: 3,
            last_exit: Some((
                "terminated due to uncaught signal '11' (Segmentation fault)".to_owned(),
                NOW - 61 * SECOND as i64,
            )),
            processes: vec![Process {
                pid: None,
                state: ProcessState::Due,
                age: 539 * SECOND,
            }],
        }),
        ..static_app()
    }
}

/// A dynamic one that nobody has asked for in a while, and one that has gone.
fn quiet() -> [App; 2] {
    let asleep = App {
        path: Bytes::from_static(b"/srv/www/cgi/rare.fcgi"),
        kind: Kind::Dynamic,
        address: Address::Unix(Bytes::from_static(b"/run/fcgi/dynamic/0123abcd")),
        owner: Some(("~joe".to_owned(), "1001".to_owned())),
        requests: 0,
        active: 0,
        waited: 0,
        failures: 0,
        waits: [0; 10],
        history: Vec::new(),
        class: Some(Class { listens: true, starts: 1, ..Class::default() }),
        ..static_app()
    };
    let old = App {
        path: Bytes::from_static(b"/srv/www/removed.fcgi"),
        is_old: true,
        active: 1,
        requests: 1,
        class: Some(Class {
            starts: 1,
            processes: vec![process(4800, ProcessState::Ending, 3600)],
            ..Class::default()
        }),
        ..asleep.clone()
    };
    [asleep, old]
}

fn report() -> Report {
    let sample =
        |i: u64| Sample { accesses: 70_000 + i * 30 + i * i % 11 * 9, bytes: i * 4096 };
    Report {
        now: NOW,
        started: NOW - 93_784 * SECOND as i64,
        utc_offset: 3600,
        zone: "CET".to_owned(),
        built: "2026-02-01T00:00:00".to_owned(),
        pid: 4700,
        generation: 3,
        load: Some([0.42, 1.5, 2.0]),
        cpu: [120.25, 30.5],
        spare: 75,
        threads: threads(),
        history: (0..SAMPLES as u64).map(sample).collect(),
        managed: true,
        apps: [external(), static_app(), given_up()].into_iter().chain(quiet()).collect(),
        gateway: Some(Gateway {
            decisions: [[7001, 93, 12, 1], [0; 4], [40, 2, 0, 0], [8, 1, 0, 0]],
            hits: 6500,
            misses: 501,
            kept: 77,
            evicted: 9,
        }),
    }
}

fn asked() -> Asked {
    Asked {
        server: "www.example.org".to_owned(),
        address: "192.0.2.10".to_owned(),
        extended: true,
        table: true,
        refresh: None,
    }
}

fn check(name: &str, text: &str) {
    expect_file![format!("{PAGES}/{name}")].assert_eq(text);
}

#[test]
fn server_status() {
    let report = report();
    check("server.html", &httpd(&report, Form::Html, &asked()));
    check("server.txt", &httpd(&report, Form::Auto, &asked()));
}

#[test]
fn server_status_without_extended_status() {
    let report = report();
    let asked = Asked { extended: false, ..asked() };
    check("short.txt", &httpd(&report, Form::Auto, &asked));
    let page = httpd(&report, Form::Html, &asked);
    for secret in ["a.txt", "192.0.2.7", "Total accesses"] {
        assert!(!page.contains(secret), "{secret}");
    }
}

#[test]
fn fastcgi_status() {
    let report = report();
    check("fastcgi.html", &fastcgi(&report, Form::Html, "www.example.org", Some(5)));
    check("fastcgi.json", &fastcgi(&report, Form::Json, "www.example.org", None));
    check("fastcgi.prom", &fastcgi(&report, Form::Metrics, "www.example.org", None));
    let open = fastcgi(&report, Form::OpenMetrics, "www.example.org", None);
    check("openmetrics.prom", &open);
}

/// Every sample belongs to the family declared last, and no two are of the same name and
/// labels.
#[test]
fn metrics_are_well_formed() {
    for form in [Form::Metrics, Form::OpenMetrics] {
        let text = fastcgi(&report(), form, "", None);
        let (mut family, mut seen) = ("", std::collections::BTreeSet::new());
        for line in text.lines() {
            if let Some(declared) = line.strip_prefix("# TYPE ") {
                family = declared.split(' ').next().unwrap_or_default();
            } else if !line.starts_with('#') {
                assert!(line.starts_with(family), "{line} is not of {family}");
                let (series, value) = line.rsplit_once(' ').expect("a value");
                assert!(value.parse::<f64>().is_ok(), "{line}");
                assert!(seen.insert(series), "{series} stands twice");
            }
        }
        assert!(seen.len() > 50);
        assert_eq!(text.ends_with("# EOF\n"), form == Form::OpenMetrics);
    }
}

/// The process manager has not answered: what it would have said is not made up.
#[test]
fn fastcgi_status_without_the_process_manager() {
    let mut report = report();
    report.managed = false;
    for app in &mut report.apps {
        app.class = None;
    }
    let page = fastcgi(&report, Form::Html, "www.example.org", None);
    assert!(page.contains("The process manager did not answer"));
    assert_eq!(page.matches(">unknown</span>").count(), 3);
    check("unmanaged.prom", &fastcgi(&report, Form::Metrics, "www.example.org", None));
}

/// Nothing that a client or a file's name says becomes markup, and what clients asked is in
/// no form for programs.
#[test]
fn names_stay_names() {
    let report = report();
    let pages = [
        httpd(&report, Form::Html, &asked()),
        fastcgi(&report, Form::Html, "<www>", Some(5)),
    ];
    for page in pages {
        assert!(!page.contains("<script") && !page.contains("<b>x"), "{page}");
        assert!(!page.contains("<www>"));
    }
    for form in [Form::Json, Form::Metrics, Form::Html] {
        assert!(!fastcgi(&report, form, "", None).contains("a.txt"));
    }
}
