//! The algorithm on simulated links, so that it can be judged and improved without a network.

use super::climb::{Bounds, Climb, Sample};
use crate::events::{Bottleneck, Pace, PaceReason};

/// A link to one source, and what both ends can do.
#[derive(Debug, Clone, Copy)]
struct Link {
    /// Round-trip time in seconds.
    latency: f64,
    /// Part of the packets that get lost.
    loss: f64,
    /// Bytes per second that the link carries.
    capacity: f64,
    /// Bytes per second that this machine, or the target, can take.
    sink: f64,
    /// Connections that the server serves at once; it refuses the others.
    served: usize,
    /// Bytes per second that the server sends to all connections together, and by which part of that
    /// it varies from second to second.
    server: (f64, f64),
    /// Bytes of each image.
    image: f64,
}

const MIB: f64 = 1024.0 * 1024.0;

const LINK: Link = Link {
    latency: 0.1,
    loss: 0.0,
    capacity: f64::INFINITY,
    sink: 400.0 * MIB,
    served: usize::MAX,
    server: (f64::INFINITY, 0.0),
    image: f64::INFINITY,
};

/// Uniform random numbers from 0 to 1 (xorshift64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        f64::from(u32::try_from(self.0 >> 32).unwrap()) / f64::from(u32::MAX)
    }
}

/// A connection. Its rate grows to that of the link, and varies with the losses.
#[derive(Debug, Clone, Copy)]
struct Connection {
    rate: f64,
    /// The part of its rate that the last losses left.
    luck: f64,
}

struct Simulation {
    link: Link,
    random: Random,
    connections: Vec<Connection>,
    refused: usize,
}

impl Simulation {
    fn new(link: Link, seed: u64) -> Self {
        let random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self { link, random, connections: Vec::new(), refused: 0 }
    }

    /// The mean rate of one connection in the long run: the window that Linux allows by default, or
    /// what the losses leave of it (Mathis et al., 1997, with segments of 1460 bytes).
    fn rate_of_one(&self) -> f64 {
        let Link { latency, loss, .. } = self.link;
        let by_window = 4.0 * MIB / latency;
        let by_loss =
            if loss > 0.0 { 1460.0 / latency * (1.5 / loss).sqrt() } else { f64::INFINITY };
        by_window.min(by_loss)
    }

    /// One second with `wanted` connections. Returns the sample that the controller sees.
    fn second(&mut self, pace: Pace) -> Sample {
        let images = match self.link.image.is_finite() {
            true => pace.images,
            false => 1,
        };
        let wanted = if self.link.image < 8.0 * MIB { images } else { pace.readers.max(images) };
        let served = wanted.min(self.link.served);
        self.refused = wanted - served;
        self.connections.truncate(served);
        // A new connection is fast until it loses its first packet.
        let luck = if self.link.loss > 0.0 { 8.0 } else { 1.0 };
        self.connections.resize(served, Connection { rate: 0.0, luck });
        let most = self.rate_of_one();
        // Slow start: the rate doubles with each round trip; after some seconds it has its mean.
        let growth = (1.0 / self.link.latency / 12.0).min(1.0);
        for connection in &mut self.connections {
            if self.link.loss > 0.0 {
                let news = 0.4 + 1.2 * self.random.next();
                connection.luck = connection.luck * 0.6 + news * 0.4;
            }
            connection.rate += (most - connection.rate) * growth;
        }
        let sum: f64 = self.connections.iter().map(|one| one.rate * one.luck).sum();
        let jitter = 0.97 + 0.06 * self.random.next();
        let (most, varies) = self.link.server;
        let most = most * (1.0 - varies + 2.0 * varies * self.random.next());
        let sent = sum.min(self.link.capacity).min(most);
        let rate = sent.min(self.link.sink * jitter);
        let is_sink = sent > self.link.sink;
        Sample {
            rate,
            bottleneck: if is_sink { Bottleneck::Processor } else { Bottleneck::Source },
            refusals: self.refused,
            failures: 0,
            working: Pace { images, readers: served },
            has_waiting: self.link.image.is_finite(),
            has_rest: self.link.image >= 8.0 * MIB,
        }
    }
}

/// How a link was used.
struct Course {
    /// The rate of each second.
    rates: Vec<f64>,
    paces: Vec<Pace>,
    reasons: Vec<(usize, Pace, PaceReason)>,
}

const BOUNDS: Bounds = Bounds {
    least: Pace { images: 1, readers: 1 },
    most: Pace { images: 16, readers: 16 },
    processors: 2,
};

/// The course of a run in which the link changes at the given seconds.
fn course(links: &[(usize, Link)], seed: u64, seconds: usize) -> Course {
    let mut simulation = Simulation::new(links[0].1, seed);
    let mut climb = Climb::new(4, BOUNDS);
    let mut course = Course { rates: Vec::new(), paces: Vec::new(), reasons: Vec::new() };
    for second in 0..seconds {
        if let Some((_, link)) = links.iter().find(|(begin, _)| *begin == second) {
            simulation.link = *link;
        }
        let sample = simulation.second(climb.pace());
        course.rates.push(sample.rate);
        course.paces.push(climb.pace());
        if let Some((pace, reason)) = climb.tick(&sample) {
            course.reasons.push((second, pace, reason));
        }
    }
    course
}

/// The mean rate of the best fixed number of readers.
fn best_fixed(link: Link, seed: u64, seconds: usize, warm: usize) -> f64 {
    let with = |number: usize| {
        let mut simulation = Simulation::new(link, seed);
        let pace = Pace { images: number.max(1), readers: number };
        let rates: Vec<f64> = (0..seconds).map(|_| simulation.second(pace).rate).collect();
        mean(&rates[warm..])
    };
    (1..=16).map(with).fold(0.0, f64::max)
}

fn mean(rates: &[f64]) -> f64 {
    rates.iter().sum::<f64>() / f64::from(u32::try_from(rates.len()).unwrap())
}

/// Every cell of the matrix of links.
fn matrix() -> Vec<Link> {
    let mut links = Vec::new();
    for latency in [0.001, 0.02, 0.1, 0.25] {
        for loss in [0.0, 0.001, 0.01] {
            for capacity in [12.5e6, f64::INFINITY] {
                links.push(Link { latency, loss, capacity, ..LINK });
            }
        }
    }
    links
}

#[test]
fn in_every_cell_the_rate_reaches_that_of_the_best_fixed_number_within_20_seconds() {
    for link in matrix() {
        let mut ratios: Vec<f64> = (1..=40)
            .map(|seed| {
                let course = course(&[(0, link)], seed, 140);
                mean(&course.rates[20..]) / best_fixed(link, seed, 140, 20)
            })
            .collect();
        ratios.sort_by(f64::total_cmp);
        assert!(ratios[20] >= 0.9, "{link:?}: {ratios:?}");
        assert!(ratios[0] >= 0.8, "{link:?}: {ratios:?}");
    }
}

/// Half of the readers that a link needs can have three quarters of its rate.
#[test]
fn readers_that_nearly_fill_a_link_are_not_taken_for_enough() {
    for tenths in [12, 15, 18, 21, 24, 26, 28, 30, 33, 36, 42, 50, 60] {
        let sink = f64::INFINITY;
        let one = Simulation::new(LINK, 1).rate_of_one();
        let link = Link { capacity: one * f64::from(tenths) / 10.0, sink, ..LINK };
        for seed in 1..=40 {
            let course = course(&[(0, link)], seed, 60);
            let ratio = mean(&course.rates[20..]) / best_fixed(link, seed, 60, 20);
            assert!(ratio >= 0.9, "{tenths}: {ratio} {:?}", course.reasons);
        }
    }
}

#[test]
fn a_local_link_stays_at_one_reader() {
    for seed in 1..=40 {
        let link = Link { latency: 0.001, sink: 350.0 * MIB, ..LINK };
        let course = course(&[(0, link)], seed, 300);
        assert!(course.paces.iter().all(|pace| pace.readers == 1), "{:?}", course.reasons);
        // Where the link itself is the limit, a second reader is tried now and then.
        let link = Link { capacity: 12.5e6, ..link };
        let course = super::simulator::course(&[(0, link)], seed, 300);
        let more = course.paces.iter().filter(|pace| pace.readers > 1).count();
        assert!(more <= 30 && course.paces.iter().all(|pace| pace.readers <= 2), "{more}");
        assert!(mean(&course.rates) > 0.98 * best_fixed(link, seed, 300, 0));
    }
}

#[test]
fn a_busy_server_nearby_gets_few_readers() {
    let server = (250.0 * MIB, 0.4);
    let link = Link { latency: 0.001, server, ..LINK };
    let readers = |seed| {
        let course = course(&[(0, link)], seed, 300);
        course.paces[40..].iter().map(|pace| pace.readers).sum::<usize>() / 260
    };
    let mut readers: Vec<usize> = (1..=40).map(readers).collect();
    readers.sort_unstable();
    assert!(readers[20] <= 2 && readers[39] <= 4, "{readers:?}");
}

#[test]
fn a_server_that_refuses_more_than_four_connections_is_left_in_peace() {
    for seed in 1..=40 {
        for image in [f64::INFINITY, 4.0 * MIB] {
            let link = Link { served: 4, loss: 0.001, image, ..LINK };
            let course = course(&[(0, link)], seed, 280);
            let late = &course.paces[40..];
            let busy = |pace: &Pace| if image.is_finite() { pace.images } else { pace.readers };
            assert!(late.iter().all(|pace| busy(pace) <= 4), "{:?}", course.reasons);
            assert!(late.iter().any(|pace| busy(pace) >= 2), "{:?}", course.reasons);
        }
    }
}

#[test]
fn small_images_on_a_long_link_are_copied_more_at_once() {
    for seed in 1..=40 {
        let link = Link { loss: 0.001, image: 4.0 * MIB, ..LINK };
        let course = course(&[(0, link)], seed, 60);
        assert!(course.paces[30].images >= 12, "{:?}", course.reasons);
        assert!(course.paces.iter().all(|pace| pace.images <= 16 && pace.readers <= 16));
    }
}

#[test]
fn the_right_number_changes_during_the_night() {
    let good = Link { capacity: 12.5e6, latency: 0.02, ..LINK };
    let bad = Link { loss: 0.01, latency: 0.1, ..good };
    for seed in 1..=40 {
        let course = course(&[(0, good), (200, bad), (500, good)], seed, 800);
        assert!(course.paces[190].readers <= 2, "{:?}", course.reasons);
        let adapted = mean(&course.rates[260..500]) / best_fixed(bad, seed, 260, 20);
        assert!(adapted > 0.85, "{adapted} {:?}", course.reasons);
        assert!(mean(&course.rates[510..]) > 0.95 * 12.5e6);
    }
}

#[test]
fn the_same_seed_gives_the_same_course() {
    let link = Link { loss: 0.01, ..LINK };
    let course = |seed| {
        let course = course(&[(0, link)], seed, 200);
        (course.reasons, course.rates)
    };
    assert_eq!(course(7), course(7));
    assert_ne!(course(7).1, course(8).1);
}
