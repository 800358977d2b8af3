//! Listings whose header or readme a program or filters make: it flows into the page where
//! it stands.

use std::rc::Rc;

use bytes::Bytes;
use directives::modules::autoindex::{Page, Part, Parts};
use directives::run::Run;

use super::super::body::{Cut, Piece};
use super::super::drive::drive;
use super::super::respond::source;
use super::include::Tools;
use super::{Next, Pipe, Stage, stages};

/// A listing's body.
pub struct Insert {
    /// Its beginning, and then what is being inserted.
    current: Option<Box<dyn Stage>>,
    parts: Parts,
    tools: Tools,
    pipe: Rc<Pipe>,
}

impl Insert {
    /// What `inner` is the beginning of, and its parts behind that.
    pub fn new(
        inner: Box<dyn Stage>,
        parts: Parts,
        tools: Tools,
        pipe: Rc<Pipe>,
    ) -> Insert {
        Insert { current: Some(inner), parts, tools, pipe }
    }

    async fn step(&mut self) -> Option<Result<Piece, Cut>> {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(piece) = current.next().await {
                    return Some(piece);
                }
                self.current = None;
            }
            let bytes = match self.parts.pop_front()? {
                Part::Text(text) => text,
                Part::Page(page) => self.page(page).await,
            };
            if !bytes.is_empty() {
                return Some(Ok(Piece { bytes, flush: false }));
            }
        }
    }

    /// Runs a sub-request, whose body is to follow. If it fails, the text that takes its
    /// place comes back.
    async fn page(&mut self, page: Page) -> Bytes {
        let mut run = Run::looked(page.found);
        run.handle();
        run.request_mut().now = crate::log::now();
        let mut world = self.tools.world();
        let Some(mut reply) = drive(&mut run, &mut world).await else {
            return page.otherwise;
        };
        // httpd does not say how long such a listing is.
        self.pipe.open.set(true);
        let filters = std::mem::take(&mut reply.filters);
        if let Some(mut body) = source(&mut reply, &mut world) {
            body.report_to(self.pipe.clone());
            let tools = (self.tools.clone(), None);
            self.current = Some(stages(body, filters, tools, &self.pipe));
        }
        Bytes::new()
    }
}

impl Stage for Insert {
    fn next(&mut self) -> Next<'_> {
        Box::pin(self.step())
    }
}
