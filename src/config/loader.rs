//! Reads files into elements, on several processors: a fleet is up to ten thousand files, or one large one, and a
//! daemon that starts is waited for. What comes out is the same however the work was shared.

use std::num::NonZero;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::thread::{self, Scope, ScopedJoinHandle};

use super::diagnostics::{Diagnostics, Origin};
use super::error::Severity;
use super::resolve::Shared;
use super::resolve::fleet::Elements;
use super::section_reader::SectionReader;
use super::source::FileId;
use super::{Daemon, load, split};

/// What came of the files that were read.
#[derive(Debug, Default)]
pub(super) struct Loader {
    pub diagnostics: Diagnostics,
    pub shared: Shared,
    pub daemon: Option<Daemon>,
    pub elements: Elements,
}

/// A file with its text.
pub(super) struct OpenFile<'a> {
    id: FileId,
    path: &'a Arc<Path>,
    text: Arc<String>,
    exposed: Option<u32>,
}

/// Something that can be read when the sections of the main file were.
pub(super) enum Task<'a> {
    /// An element of the main file.
    Element(Range<usize>),
    /// A file of `conf.d`.
    File(&'a Arc<Path>),
}

impl Loader {
    /// Reads the text of a file; `None`, and a mistake, when it cannot be.
    pub fn open<'a>(&mut self, path: &'a Arc<Path>) -> Option<OpenFile<'a>> {
        let read = match load::read(path) {
            Ok(read) => read,
            Err(problem) => {
                let file = self.diagnostics.add_file(Arc::clone(path), Arc::default());
                let message = format!("cannot be read: {problem}");
                let hint = "renewd must be able to read its whole configuration";
                self.diagnostics
                    .file_problem(file, Severity::Error, message, hint);
                return None;
            }
        };
        let text = Arc::new(read.text);
        let id = self
            .diagnostics
            .add_file(Arc::clone(path), Arc::clone(&text));
        if let Some(at) = read.not_utf8_at {
            let place = Origin {
                file: id,
                start: at,
            }
            .place(&(0..1));
            let hint = "save the file in the encoding UTF-8".to_owned();
            self.diagnostics
                .syntax_error(place, "this is not UTF-8", Some(hint));
            return None;
        }
        Some(OpenFile {
            id,
            path,
            text,
            exposed: read.exposed,
        })
    }

    /// Reads the sections of a file, and says where its elements are. Only the main one may hold `[daemon]`,
    /// `[renewal]` and `[file_transfer]`; they hold what all elements need: the state directory, the policy, the way of
    /// transfers.
    pub fn sections(&mut self, file: &OpenFile<'_>, is_main: bool) -> Vec<Range<usize>> {
        let (elements, sections): (Vec<_>, Vec<_>) = split::split(&file.text)
            .into_iter()
            .partition(|piece| piece.is_element);
        let mut reader = file.reader(self, is_main);
        for piece in sections {
            reader.read(file.id, &file.text, piece.range);
        }
        if is_main {
            reader.end_of_sections(file.id);
        }
        elements.into_iter().map(|piece| piece.range).collect()
    }

    /// Does all `tasks`; a reading for each share of them, in their order.
    pub fn share(&self, main: Option<&OpenFile<'_>>, tasks: &[Task<'_>]) -> Vec<Self> {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let size = tasks.len().div_ceil(processors.min(MOST_SHARES));
        let mut first_file = self.diagnostics.files();
        let mut shares = Vec::new();
        for tasks in tasks.chunks(size.max(SMALLEST_SHARE)) {
            shares.push(Share {
                main,
                tasks,
                first_file,
                shared: &self.shared,
            });
            first_file += tasks.iter().map(Task::files).sum::<u32>();
        }
        thread::scope(|scope| {
            let begin = |share| (share, Share::begin(share, scope));
            let others: Vec<_> = shares.iter().skip(1).map(begin).collect();
            let own = shares.first().map(Share::read);
            let others = others.into_iter().map(|(share, worker)| share.end(worker));
            own.into_iter().chain(others).collect()
        })
    }

    fn read(&mut self, main: Option<&OpenFile<'_>>, task: &Task<'_>) {
        match (task, main) {
            (Task::Element(range), Some(main)) => self.element(main, true, range.clone()),
            (Task::Element(_), None) => {}
            (Task::File(path), _) => {
                let Some(file) = self.open(path) else { return };
                for range in self.sections(&file, false) {
                    self.element(&file, false, range);
                }
                self.diagnostics.end_of_file(file.id);
            }
        }
    }

    fn element(&mut self, file: &OpenFile<'_>, is_main: bool, range: Range<usize>) {
        file.reader(self, is_main).read(file.id, &file.text, range);
    }
}

/// Tasks that one thread does.
struct Share<'a> {
    main: Option<&'a OpenFile<'a>>,
    tasks: &'a [Task<'a>],
    /// The number that its first file gets.
    first_file: u32,
    shared: &'a Shared,
}

impl Share<'_> {
    fn read(&self) -> Loader {
        let mut loader = Loader {
            diagnostics: Diagnostics::after(self.first_file),
            shared: self.shared.clone(),
            ..Loader::default()
        };
        for task in self.tasks {
            loader.read(self.main, task);
        }
        loader
    }

    /// `None`: there is no thread to be had.
    fn begin<'s>(&'s self, scope: &'s Scope<'s, '_>) -> Option<ScopedJoinHandle<'s, Loader>> {
        let read = || self.read();
        thread::Builder::new().spawn_scoped(scope, read).ok()
    }

    fn end(&self, worker: Option<ScopedJoinHandle<'_, Loader>>) -> Loader {
        let Some(worker) = worker else {
            return self.read();
        };
        let done = worker.join();
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

impl OpenFile<'_> {
    fn reader<'a>(&'a self, loader: &'a mut Loader, is_main: bool) -> SectionReader<'a> {
        let folder = self.path.parent().unwrap_or(Path::new("/"));
        SectionReader::new(loader, folder, self.exposed, is_main)
    }
}

impl Task<'_> {
    fn files(&self) -> u32 {
        match self {
            Self::Element(_) => 0,
            Self::File(_) => 1,
        }
    }
}

/// More would take more memory than they save time.
const MOST_SHARES: usize = 4;

/// Fewer tasks than this are done sooner than a thread begins.
const SMALLEST_SHARE: usize = 64;
