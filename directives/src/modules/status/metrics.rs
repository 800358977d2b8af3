//! `fastcgi-status` for Prometheus: its text format, and OpenMetrics where that is asked
//! for. The two differ in the names of counters and in the end.

use super::apps::{kind, state};
use super::number::shown;
use super::report::WAITS;
use super::{App, Form, Gateway, Process, ProcessState, Report, State};
use crate::modules::gateway::{Dialect, OUTCOMES};

/// One kind of samples, being written.
struct Writer {
    out: String,
    open: bool,
}

impl Writer {
    /// A counter's samples; its name is without `_total`.
    fn counter(&mut self, name: &str, help: &str, samples: &[(String, f64)]) {
        let family = if self.open { name.to_owned() } else { format!("{name}_total") };
        self.family(&family, "counter", help);
        for (labels, value) in samples {
            self.sample(&format!("{name}_total"), labels, *value);
        }
    }

    fn gauge(&mut self, name: &str, help: &str, samples: &[(String, f64)]) {
        self.family(name, "gauge", help);
        for (labels, value) in samples {
            self.sample(name, labels, *value);
        }
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.out += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n");
    }

    fn sample(&mut self, name: &str, labels: &str, value: f64) {
        let labels =
            if labels.is_empty() { String::new() } else { format!("{{{labels}}}") };
        self.out += &format!("{name}{labels} {value}\n");
    }
}

/// All samples.
pub fn text(report: &Report, form: Form) -> String {
    let open = form == Form::OpenMetrics;
    let mut writer = Writer { out: String::new(), open };
    server(report, &mut writer);
    applications(report, &mut writer);
    processes(report, &mut writer);
    waits(report, &mut writer);
    if let Some(gateway) = &report.gateway {
        self::gateway(gateway, &mut writer);
    }
    if open {
        writer.out += "# EOF\n";
    }
    writer.out
}

fn alone(value: f64) -> [(String, f64); 1] {
    [(String::new(), value)]
}

fn server(report: &Report, writer: &mut Writer) {
    let (accesses, bytes, duration) = report.totals();
    writer.gauge(
        "httpd_start_time_seconds",
        "When the serving process began.",
        &alone(report.started as f64 / 1e6),
    );
    let generation = alone(report.generation as f64);
    writer.gauge(
        "httpd_generation",
        "Number of the configuration that is served.",
        &generation,
    );
    writer.counter("httpd_requests", "Requests answered.", &alone(accesses as f64));
    writer.counter("httpd_sent_bytes", "Bytes sent in responses.", &alone(bytes as f64));
    writer.counter(
        "httpd_request_duration_seconds",
        "Time that requests took, all together.",
        &alone(duration as f64 / 1e6),
    );
    writer.counter(
        "httpd_cpu_seconds",
        "Processor time of the serving process.",
        &["user", "system"]
            .iter()
            .zip(report.cpu)
            .map(|(mode, used)| (format!("mode=\"{mode}\""), used))
            .collect::<Vec<_>>(),
    );
    let states = [
        ("waiting", State::Waiting),
        ("reading", State::Reading),
        ("writing", State::Writing),
        ("keepalive", State::KeepAlive),
        ("closing", State::Closing),
    ];
    writer.gauge(
        "httpd_connections",
        "Connections of clients.",
        &states.map(|(name, state)| {
            (format!("state=\"{name}\""), report.count(state) as f64)
        }),
    );
}

/// What names an application: a path may stand for several, each under a user of its own.
fn labels(app: &App) -> String {
    let mut labels =
        format!("path=\"{}\",kind=\"{}\"", escape(&shown(&app.path)), kind(app));
    if let Some((user, group)) = &app.owner {
        labels += &format!(",user=\"{}\",group=\"{}\"", escape(user), escape(group));
    }
    labels
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn each(report: &Report, value: impl Fn(&App) -> Option<f64>) -> Vec<(String, f64)> {
    report.apps.iter().filter_map(|app| Some((labels(app), value(app)?))).collect()
}

fn applications(report: &Report, writer: &mut Writer) {
    let all = |value: fn(&App) -> f64| each(report, |app| Some(value(app)));
    let requests = all(|app| app.requests as f64);
    writer.counter("fastcgi_requests", "Requests given to the application.", &requests);
    let failures = all(|app| app.failures as f64);
    writer.counter(
        "fastcgi_failures",
        "Requests that the application failed.",
        &failures,
    );
    let active = all(|app| app.active.into());
    writer.gauge("fastcgi_active", "Requests that are with the application.", &active);
    let waiting = all(|app| app.waiting.into());
    writer.gauge("fastcgi_waiting", "Requests that wait for a first byte.", &waiting);
    let up = each(report, |app| {
        let known =
            app.class.is_some() || app.kind == crate::modules::fastcgi::Kind::Static;
        let bad = state(app, report.managed).1 == "bad";
        (report.managed && known).then_some(if bad { 0.0 } else { 1.0 })
    });
    writer.gauge(
        "fastcgi_up",
        "Whether requests can be served by processes of ours.",
        &up,
    );
}

fn processes(report: &Report, writer: &mut Writer) {
    let starts = each(report, |app| app.class.as_ref().map(|class| class.starts as f64));
    writer.counter("fastcgi_starts", "Processes started.", &starts);
    let restarts =
        each(report, |app| app.class.as_ref().map(|class| class.restarts as f64));
    writer.counter(
        "fastcgi_restarts",
        "Processes started in another's place.",
        &restarts,
    );
    let states = [ProcessState::Running, ProcessState::Finishing, ProcessState::Ending];
    let mut samples = Vec::new();
    for app in report.apps.iter().filter(|app| app.class.is_some()) {
        for state in states {
            let count =
                app.processes().iter().filter(|process| process.state == state).count();
            let word = super::apps::word(&Process { pid: None, state, age: 0 });
            samples.push((format!("{},state=\"{word}\"", labels(app)), count as f64));
        }
    }
    writer.gauge("fastcgi_processes", "Processes of the application.", &samples);
}

fn gateway(gateway: &Gateway, writer: &mut Writer) {
    let mut decisions = Vec::new();
    for (dialect, counts) in Dialect::ALL.iter().zip(gateway.decisions) {
        for (outcome, count) in OUTCOMES.iter().zip(counts) {
            let labels = format!("dialect=\"{}\",decision=\"{outcome}\"", dialect.name());
            decisions.push((labels, count as f64));
        }
    }
    writer.counter(
        "gateway_decisions",
        "Decisions about requests of callers.",
        &decisions,
    );
    let hits = alone(gateway.hits as f64);
    writer.counter("gateway_cache_hits", "Questions answered from what is kept.", &hits);
    let misses = alone(gateway.misses as f64);
    writer.counter(
        "gateway_cache_misses",
        "Questions that nothing was kept for.",
        &misses,
    );
    let evicted = alone(gateway.evicted as f64);
    writer.counter(
        "gateway_cache_evictions",
        "Answers that went to make room.",
        &evicted,
    );
    writer.gauge(
        "gateway_cache_entries",
        "Answers that are kept.",
        &alone(gateway.kept as f64),
    );
}

fn waits(report: &Report, writer: &mut Writer) {
    let name = "fastcgi_wait_seconds";
    writer.family(name, "histogram", "How long requests waited for the first byte.");
    for app in &report.apps {
        let labels = labels(app);
        let mut below = 0;
        for (i, n) in app.waits.iter().enumerate() {
            below += n;
            let end = WAITS
                .get(i)
                .map_or("+Inf".to_owned(), |end| (*end as f64 / 1e6).to_string());
            let labels = format!("{labels},le=\"{end}\"");
            writer.sample(&format!("{name}_bucket"), &labels, below as f64);
        }
        writer.sample(&format!("{name}_sum"), &labels, app.waited as f64 / 1e6);
        writer.sample(&format!("{name}_count"), &labels, below as f64);
    }
}
