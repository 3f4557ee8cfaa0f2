//! Diagnostics as text: drawn as rustc draws them, or one line each.

use std::fmt::Write as _;

use annotate_snippets::{AnnotationKind, Element, Group, Level, Renderer, Snippet};

use super::diagnostic::{Diagnostic, Diagnostics, Severity};
use super::source::{FileId, SourceMap, Span};

/// How to draw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// With colours, for a terminal.
    Colour,
    /// The same without colours.
    Plain,
    /// `file:line:column: error[code]: message; hint`, one line each.
    Concise,
}

/// All of them, each ending with a newline; in between a blank line where they are drawn.
pub fn render(diagnostics: &Diagnostics, sources: &SourceMap, style: Style) -> String {
    let mut out = String::new();
    for diagnostic in diagnostics {
        if style != Style::Concise && !out.is_empty() {
            out.push('\n');
        }
        out.push_str(&render_one(diagnostic, sources, style));
        out.push('\n');
    }
    out
}

/// One of them, without a newline at its end.
pub fn render_one(diagnostic: &Diagnostic, sources: &SourceMap, style: Style) -> String {
    let renderer = match style {
        Style::Concise => return concise(diagnostic, sources),
        Style::Colour => Renderer::styled(),
        Style::Plain => Renderer::plain(),
    };
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.as_str());
    let mut elements: Vec<Element<'_>> = snippets(diagnostic, sources)
        .into_iter()
        .map(Element::from)
        .collect();
    elements.extend(
        diagnostic
            .notes
            .iter()
            .map(|note| Level::NOTE.message(note.as_str()).into()),
    );
    if let Some(hint) = &diagnostic.hint {
        let hint = Level::HELP.with_name("hint").message(hint.as_str());
        elements.push(hint.into());
    }
    let report: [Group<'_>; 1] = [title.elements(elements)];
    renderer.render(&report).trim_end().to_owned()
}

/// Lines between two marks of one file above which they are drawn apart.
const GAP_LINES_MAX: usize = 20;

/// One snippet for the marks that stand near each other, cut to their lines.
fn snippets<'a>(
    diagnostic: &'a Diagnostic,
    sources: &'a SourceMap,
) -> Vec<Snippet<'a, annotate_snippets::Annotation<'a>>> {
    let primary = diagnostic
        .span
        .map(|s| (s, diagnostic.label.as_str(), true));
    let related = diagnostic.related.iter();
    let marks = primary
        .into_iter()
        .chain(related.map(|(s, label)| (*s, label.as_str(), false)));
    let mut windows: Vec<Window<'_>> = Vec::new();
    for mark in marks {
        let Some(file) = sources.file(mark.0.file) else {
            continue;
        };
        let first = file.line_of(mark.0.start);
        let last = file.line_of(mark.0.end.saturating_sub(1).max(mark.0.start));
        match windows.iter_mut().find(|w| w.takes(mark.0, first, last)) {
            Some(window) => {
                window.first = window.first.min(first);
                window.last = window.last.max(last);
                window.marks.push(mark);
            }
            None => windows.push(Window {
                file: mark.0.file,
                first,
                last,
                marks: vec![mark],
            }),
        }
    }
    windows.iter().filter_map(|w| w.snippet(sources)).collect()
}

struct Window<'a> {
    file: FileId,
    first: usize,
    last: usize,
    marks: Vec<(Span, &'a str, bool)>,
}

impl<'a> Window<'a> {
    fn takes(&self, span: Span, first: usize, last: usize) -> bool {
        self.file == span.file
            && first <= self.last + GAP_LINES_MAX
            && self.first <= last + GAP_LINES_MAX
    }

    fn snippet(
        &self,
        sources: &'a SourceMap,
    ) -> Option<Snippet<'a, annotate_snippets::Annotation<'a>>> {
        let file = sources.file(self.file)?;
        let range = file.lines(self.first, self.last);
        let base = range.start;
        let text = file.text().get(range)?;
        let mut snippet = Snippet::source(text)
            .line_start(self.first + 1)
            .path(file.path().to_string_lossy());
        for (span, label, primary) in &self.marks {
            let kind = match primary {
                true => AnnotationKind::Primary,
                false => AnnotationKind::Context,
            };
            let start = (span.start as usize).saturating_sub(base).min(text.len());
            let end = (span.end as usize).saturating_sub(base).min(text.len());
            let mut annotation = kind.span(start..end.max(start));
            if !label.is_empty() {
                annotation = annotation.label(*label);
            }
            snippet = snippet.annotation(annotation);
        }
        Some(snippet)
    }
}

fn concise(diagnostic: &Diagnostic, sources: &SourceMap) -> String {
    let mut out = String::new();
    if let Some(place) = diagnostic.span.and_then(|span| sources.place(span)) {
        let _ = write!(out, "{place}: ");
    }
    let Diagnostic {
        severity,
        code,
        message,
        hint,
        ..
    } = diagnostic;
    let _ = write!(out, "{severity}[{code}]: {message}");
    if let Some(hint) = hint {
        let _ = write!(out, "; {hint}");
    }
    // A name from the file may hold anything: one diagnostic stays one line.
    out.retain(|c| !c.is_control());
    out
}
