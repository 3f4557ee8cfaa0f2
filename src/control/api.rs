//! The interface as OpenAPI 3.1 has it: one table of what can be asked, from which the document is made. A
//! test holds it against the routes and against docs/operate.md.

use serde_json::{Map, Value, json};

use super::schema;

/// What may stand behind the question mark: name, type, what it means.
pub type Parameter = (&'static str, &'static str, &'static str);

/// One thing that can be asked.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// GET or POST.
    pub method: &'static str,
    /// Where; what stands in braces is chosen by whoever asks.
    pub path: &'static str,
    /// What may stand behind the question mark.
    pub query: &'static [Parameter],
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
const NO_QUERY: &[Parameter] = &[];

/// What an order may say of itself.
const TERMS: [Parameter; 3] = [
    (
        "for",
        "integer",
        "seconds that it holds, up to a year; without it until it is taken back",
    ),
    ("reason", "string", "why"),
    (
        "by",
        "string",
        "who orders it; without it the user of the process that asks",
    ),
];
const TAKEN_BACK: &[Parameter] = &[("by", "string", "who takes it back")];

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
pub const OPERATIONS: [Operation; 18] = [
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
        query: &[
            (
                "grace",
                "integer",
                "seconds that connections may last, up to a day",
            ),
            TERMS[0],
            TERMS[1],
            TERMS[2],
        ],
        ..order(
            "/v1/servers/{server}/drain",
            "Takes a server out of its pools",
            "Done",
        )
    },
    Operation {
        query: TAKEN_BACK,
        ..order(
            "/v1/servers/{server}/undrain",
            "Lets a server in again that was drained",
            "Done",
        )
    },
    Operation {
        query: &[
            (
                "weight",
                "integer",
                "the weight, up to 65535; without it the configured one counts again",
            ),
            TERMS[0],
            TERMS[1],
            TERMS[2],
        ],
        ..order(
            "/v1/servers/{server}/weight",
            "Gives a server another weight than the configured one",
            "Done",
        )
    },
    Operation {
        query: &TERMS,
        ..order(
            "/v1/checks/{whom}/pause",
            "Has a server, or all of a virtual server, not checked",
            "Done",
        )
    },
    Operation {
        query: TAKEN_BACK,
        ..order("/v1/checks/{whom}/resume", "Has them checked again", "Done")
    },
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
    let schemas = schema::all();
    for operation in OPERATIONS {
        let path = paths.entry(operation.path).or_insert_with(|| json!({}));
        if let Some(path) = path.as_object_mut() {
            path.insert(
                operation.method.to_lowercase(),
                described(&operation, &schemas),
            );
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "vipd",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "The control socket of vipd (HTTP over a socket of the file system, control.sock in \
                            the run directory). Orders (POST) are for root and for the user that vipd runs as. \
                            Points in time are RFC 3339 in UTC, and null is what is not known."
        },
        "servers": [{"url": "http://vipd/", "description": "any host name, over the socket"}],
        "paths": paths,
        "components": {"schemas": schemas}
    })
}

fn described(operation: &Operation, schemas: &Map<String, Value>) -> Value {
    let query = operation.query.iter().map(|(name, kind, what)| {
        json!({"name": name, "in": "query", "required": false, "description": what,
               "schema": {"type": kind}})
    });
    let within = operation.path.split('/').filter_map(|part| {
        let name = part.strip_prefix('{')?.strip_suffix('}')?;
        Some(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
    });
    let parameters: Vec<Value> = within.chain(query).collect();
    let answer = |description: &str, content: &str, names: &str| {
        let known = names
            .split(" or ")
            .filter(|name| schemas.contains_key(*name));
        let known = known.map(|name| json!({"$ref": format!("#/components/schemas/{name}")}));
        let mut known: Vec<Value> = known.collect();
        let schema = match known.len() {
            0 => json!({}),
            1 => known.remove(0),
            _ => json!({"anyOf": known}),
        };
        json!({"description": description, "content": {content: {"schema": schema}}})
    };
    let refusal = answer("why not", JSON, "Refusal");
    let mut answers = Map::new();
    answers.insert(
        "200".to_owned(),
        answer(operation.answer, operation.content, operation.answer),
    );
    if operation.method == "POST" {
        answers.insert("403".to_owned(), refusal.clone());
    }
    if ["Reload", "Plan"].contains(&operation.answer) {
        let why = "the file has errors, which it says";
        answers.insert("422".to_owned(), answer(why, JSON, operation.answer));
    }
    answers.insert("default".to_owned(), refusal);
    json!({"summary": operation.summary, "parameters": parameters, "responses": answers})
}
