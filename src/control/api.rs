//! The interface as OpenAPI 3.1 has it: one table of what can be asked, from which the document is made. A
//! test holds it against the routes and against docs/operate.md.

use serde_json::{Map, Value, json};

/// One thing that can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// GET or POST.
    pub method: &'static str,
    /// Where; what stands in braces is chosen by whoever asks.
    pub path: &'static str,
    /// What may stand behind the question mark: name, type, what it means.
    pub query: &'static [(&'static str, &'static str, &'static str)],
    /// What it is for.
    pub summary: &'static str,
    /// The type of what comes back.
    pub content: &'static str,
    /// What comes back, as `control::model` calls it.
    pub answer: &'static str,
    /// Where it is: at the status page's address too.
    pub on_page: bool,
}

const JSON: &str = "application/json";
const NO_QUERY: &[(&str, &str, &str)] = &[];

const fn look(path: &'static str, summary: &'static str, answer: &'static str) -> Operation {
    Operation {
        method: "GET",
        path,
        query: NO_QUERY,
        summary,
        content: JSON,
        answer,
        on_page: false,
    }
}

const fn order(path: &'static str, summary: &'static str, answer: &'static str) -> Operation {
    Operation {
        method: "POST",
        ..look(path, summary, answer)
    }
}

/// Everything that can be asked.
pub const OPERATIONS: [Operation; 15] = [
    Operation {
        query: &[(
            "traffic",
            "boolean",
            "with what the kernel counts of services and servers",
        )],
        on_page: true,
        ..look("/v1/status", "Everything, and why it is so", "Status")
    },
    Operation {
        query: &[
            ("after", "integer", "only events with a higher number"),
            (
                "follow",
                "boolean",
                "go on with what happens; not at the address of the page",
            ),
        ],
        content: "application/x-ndjson",
        on_page: true,
        ..look(
            "/v1/events",
            "What happened, an object in each line",
            "Event or Missing",
        )
    },
    look("/v1/openapi.json", "This document", "OpenAPI"),
    order("/v1/reload", "Reads the configuration again", "Reload"),
    Operation {
        query: &[(
            "keep",
            "boolean",
            "leave addresses and services for whoever starts next",
        )],
        ..order("/v1/stop", "Ends the daemon", "Done")
    },
    Operation {
        query: &[("file", "string", "the file; without it the daemon's own")],
        ..order(
            "/v1/plan",
            "Says what a file would change; changes nothing",
            "Plan",
        )
    },
    order(
        "/v1/instances/{name}/failover",
        "Hands an instance over to another router, once",
        "Done",
    ),
    order(
        "/v1/instances/{name}/announce",
        "Announces the addresses of an instance again",
        "Done",
    ),
    Operation {
        query: &[(
            "for",
            "integer",
            "seconds that connections may last, up to a day",
        )],
        ..order(
            "/v1/servers/{server}/drain",
            "Takes a server out of its pools",
            "Done",
        )
    },
    order(
        "/v1/servers/{server}/undrain",
        "Lets a server in again that was drained",
        "Done",
    ),
    look(
        "/v1/servers/{server}/progress",
        "How far a server is that was drained",
        "Draining",
    ),
    Operation {
        content: "application/openmetrics-text; version=1.0.0; charset=utf-8",
        on_page: true,
        ..look("/metrics", "Metrics for Prometheus", "OpenMetrics")
    },
    Operation {
        content: "text/plain; charset=utf-8",
        on_page: true,
        ..look("/healthz", "Whether both threads answer", "ok")
    },
    Operation {
        content: "text/html; charset=utf-8",
        on_page: true,
        ..look("/", "The status page, at its address alone", "HTML")
    },
    Operation {
        content: "text/javascript; charset=utf-8",
        on_page: true,
        ..look("/page.js", "A part of it, as /page.css is", "JavaScript")
    },
];

/// The document.
pub fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(operation.method.to_lowercase(), described(&operation));
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vipd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control socket of vipd (HTTP over a socket of the file system, control.sock in \
                            the run directory). Orders (POST) are for root and for the user that vipd runs as. \
                            Fields of answers are those of vipd::control::model; points in time are RFC 3339 \
                            in UTC, and null is what is not known."
        },
        "servers": [{"url": "http://vipd/", "description": "any host name, over the socket"}],
        "paths": paths,
        "components": {"schemas": {"Refusal": {
            "type": "object",
            "required": ["error"],
            "properties": {"error": {
                "type": "string",
                "description": "what was asked for, why it cannot be, what to do"
            }}
        }}}
    })
}

fn described(operation: &Operation) -> Value {
    let query = operation.query.iter().map(|(name, kind, what)| {
        json!({"name": name, "in": "query", "required": false, "description": what,
               "schema": {"type": kind}})
    });
    let within = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
    });
    let parameters: Vec<Value> = within.chain(query).collect();
    let refusal = json!({"description": "why not", "content": {JSON: {
        "schema": {"$ref": "#/components/schemas/Refusal"}}}});
    let mut answers = Map::new();
    answers.insert(
        "200".to_owned(),
        json!({"description": operation.answer, "content": {operation.content: {}}}),
    );
    if operation.method == "POST" {
        answers.insert("403".to_owned(), refusal.clone());
    }
    answers.insert("default".to_owned(), refusal);
    json!({"summary": operation.summary, "parameters": parameters, "responses": answers})
}
