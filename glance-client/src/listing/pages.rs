//! The pages of one listing.

use std::collections::VecDeque;

use futures_util::StreamExt;
use http::Response;
use serde_json::{Map, Value};

use crate::record_stream::{Element, LONGEST, Piece, Splitter, Unsplit, identity};
use crate::request::{BROKE_OFF, BROKEN_OFF, Client, Operation};
use glance_core::body::{Body, readable};
use glance_core::error::BodyError;
use glance_core::image::{Image, ImageId, Misread};
use glance_core::store::{StoreError, listed_id};
use glance_core::transport::request_id;

use super::{LIST, next_query, unreadable};

/// The pages of a listing: <https://docs.openstack.org/api-ref/image/v2/#list-images>.
pub(super) struct Pages<'a> {
    client: &'a Client,
    /// The page being read; `None` once it is complete.
    page: Option<Page>,
    /// The query string of the next page.
    next: Option<String>,
    /// Elements that were read ahead, and the memory that they use.
    waiting: VecDeque<Element>,
    weight: usize,
    progress: Progress,
    /// The first image of the page being returned.
    first: Option<ImageId>,
    nameless: Nameless,
}

impl<'a> Pages<'a> {
    /// Requests the first page, and reads all of it, or the beginning of a long one.
    pub(super) async fn begin(client: &'a Client, query: String) -> Result<Self, StoreError> {
        let mut pages = Self {
            client,
            page: Some(Page::open(client, query).await?),
            next: None,
            waiting: VecDeque::new(),
            weight: 0,
            progress: Progress::default(),
            first: None,
            nameless: Nameless::default(),
        };
        pages.read_ahead().await?;
        Ok(pages)
    }

    /// The next image, or the error of its record.
    ///
    /// # Errors
    /// If the listing cannot continue.
    pub(super) async fn next(&mut self) -> Result<Option<Result<Image, StoreError>>, StoreError> {
        loop {
            while let Some(element) = self.waiting.pop_front() {
                self.weight -= weight(&element);
                let item = record(self.client, element);
                self.first = self.first.take().or_else(|| listed_id(&item).cloned());
                match item {
                    Err(error) if error.record.is_none() => self.nameless.take(error)?,
                    item => return Ok(Some(item)),
                }
            }
            if self.page.is_none() && !self.open_next().await? {
                return self.nameless.first.take().map_or(Ok(None), Err);
            }
            self.read_ahead().await?;
        }
    }

    /// Requests the next page, if there is one.
    async fn open_next(&mut self) -> Result<bool, StoreError> {
        let Some(query) = self.next.take() else { return Ok(false) };
        if !self.progress.goes_on(self.first.take()) {
            return Err(unreadable(self.client, "the pages of the listing form a loop"));
        }
        self.page = Some(Page::open(self.client, query).await?);
        Ok(true)
    }

    /// Reads the page to its end, or until enough is buffered. The server would time out if the
    /// page stayed unread while images are copied.
    async fn read_ahead(&mut self) -> Result<(), StoreError> {
        let Some(mut page) = self.page.take() else { return Ok(()) };
        let Self { client, waiting, weight: in_all, .. } = self;
        let mut keep = |element| {
            *in_all += weight(&element);
            waiting.push_back(element);
            *in_all
        };
        let is_whole = page.read(client, &mut keep).await?;
        match (is_whole, &page.link) {
            (false, _) => self.page = Some(page),
            (true, None) => {}
            (true, Some(link)) => {
                let next = next_query(self.client.endpoint(), link);
                self.next = Some(next.map_err(|reason| unreadable(self.client, reason))?);
            }
        }
        Ok(())
    }
}

/// A response that is being read.
struct Page {
    query: String,
    body: Body,
    splitter: Splitter,
    request_id: Option<String>,
    /// The link to the next page.
    link: Option<String>,
    /// The number of elements received, and the number received before the last interruption.
    came: usize,
    came_before: usize,
    /// How many more interruptions are tolerated that bring no new elements.
    again: u32,
}

impl Page {
    async fn open(client: &Client, query: String) -> Result<Self, StoreError> {
        let answer = ask(client, &query).await?;
        Ok(Self {
            query,
            request_id: request_id(answer.headers()),
            body: answer.into_body(),
            splitter: Splitter::of("images", &["next"]),
            link: None,
            came: 0,
            came_before: 0,
            again: BROKEN_OFF,
        })
    }

    /// Reads elements until `keep` reports that enough is held. Returns whether the page is
    /// complete.
    async fn read(
        &mut self,
        client: &Client,
        keep: &mut (impl FnMut(Element) -> usize + Send),
    ) -> Result<bool, StoreError> {
        loop {
            let chunk = match self.body.next().await {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => {
                    self.resume(client, error).await?;
                    continue;
                }
                None => {
                    let end = self.splitter.end();
                    return end.map(|()| true).map_err(|error| self.unsplit(client, error));
                }
            };
            match self.take(&chunk, keep) {
                Ok(held) if held >= AHEAD => return Ok(false),
                Ok(_) => {}
                Err(error) => return Err(self.unsplit(client, error)),
            }
        }
    }

    /// Processes a chunk, and returns how much is held now.
    fn take(
        &mut self,
        chunk: &[u8],
        keep: &mut impl FnMut(Element) -> usize,
    ) -> Result<usize, Unsplit> {
        let (mut held, mut link) = (0, None);
        let mut came = 0;
        self.splitter.feed(chunk, &mut |piece| match piece {
            Piece::Element(element) => {
                held = keep(element);
                came += 1;
            }
            Piece::Value(_, text) => link = Some(text),
        })?;
        self.came += came;
        if let Some(text) = link {
            // A link that is not a string becomes an empty link, which is an error.
            let is_null = text == b"null";
            let link = serde_json::from_slice(&text).unwrap_or_default();
            self.link = (!is_null).then_some(link);
        }
        Ok(held)
    }

    /// Repeats a request whose response was interrupted. The elements received are sent again.
    async fn resume(&mut self, client: &Client, error: BodyError) -> Result<(), StoreError> {
        let error = client.broke_off(error, &LIST);
        let error = error.answered(self.request_id.clone());
        if self.came > self.came_before {
            (self.came_before, self.again) = (self.came, BROKEN_OFF);
        }
        if error.kind != BROKE_OFF || self.again == 0 {
            return Err(error);
        }
        tracing::info!("{error}; retrying");
        let fresh = Self::open(client, self.query.clone()).await?;
        *self = Self { came_before: self.came_before, again: self.again - 1, ..fresh };
        Ok(())
    }

    fn unsplit(&self, client: &Client, error: Unsplit) -> StoreError {
        let reason = match error {
            Unsplit::NotJson => "the response is not JSON".to_owned(),
            Unsplit::NoList(_) => format!("the response is not a Glance response: {error}"),
            Unsplit::TooMuch(_) | Unsplit::Endless(_) => {
                format!("the response is too long: {error}")
            }
        };
        unreadable(client, reason).answered(self.request_id.clone())
    }
}

async fn ask(client: &Client, query: &str) -> Result<Response<Body>, StoreError> {
    client.page(&format!("/v2/images?{query}"), &LIST).await
}

/// Parses the record of an image.
fn record(client: &Client, element: Element) -> Result<Image, StoreError> {
    let read = match element {
        Element::TooLong(known) => {
            Err(Misread::of(known, format!("the record is longer than {}", readable(LONGEST))))
        }
        Element::Whole(text) => match serde_json::from_slice::<Map<String, Value>>(&text) {
            Ok(record) => Image::read(record),
            Err(error) => Err(Misread::of(identity(&text), format!("invalid record: {error}"))),
        },
    };
    read.map_err(|misread| {
        if let Some(image) = &misread.image {
            return client.misread(&misread, &Operation::new("read the record", &image.id));
        }
        let fault = &misread.fault;
        unreadable(client, format!("a record without a readable id: {fault}"))
    })
}

/// Collects errors of records without an image id; reported after all other images are listed.
#[derive(Default)]
struct Nameless {
    count: usize,
    first: Option<StoreError>,
}

impl Nameless {
    /// Records one error; fails if there are too many.
    fn take(&mut self, error: StoreError) -> Result<(), StoreError> {
        self.count += 1;
        match self.first.take() {
            Some(first) if self.count > NAMELESS => Err(first),
            first => {
                self.first = first.or(Some(error));
                Ok(())
            }
        }
    }
}

/// Detects pages that repeat, in constant memory: Brent's cycle detection over the first image of
/// each page. Links may differ every time, but an image is listed only once.
#[derive(Debug, Default)]
struct Progress {
    remembered: Option<ImageId>,
    pages: u64,
}

impl Progress {
    /// Takes the first image of a page that has a successor. Returns false on a cycle.
    fn goes_on(&mut self, first: Option<ImageId>) -> bool {
        if first.is_none() || first == self.remembered {
            return false;
        }
        self.pages += 1;
        if self.pages.is_power_of_two() {
            self.remembered = first;
        }
        true
    }
}

/// The memory that an element uses while it is buffered, in bytes.
fn weight(element: &Element) -> usize {
    match element {
        Element::Whole(text) => text.len() + OVERHEAD,
        Element::TooLong(_) => OVERHEAD,
    }
}

/// The memory of an element in addition to its text.
const OVERHEAD: usize = 128;

/// Bytes of elements to read ahead; more than a typical page.
const AHEAD: usize = 8 << 20;

/// How many records without an id end the listing at once.
const NAMELESS: usize = 100;
