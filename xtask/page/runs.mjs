// Sample reports of runs.

import { GIB, KIB, MIB, START, at, envelope, hex, nameOf, pick, random, uuid } from "./values.mjs";

/** One image of a run, which begins at `from` seconds. */
function transferred(number, from, result) {
  const size = Math.floor(pick([300 * KIB, 20 * MIB, 600 * MIB, 3 * GIB, 12 * GIB]) * (0.5 + random()));
  const seconds = 0.4 + size / (140 * MIB * (0.4 + random()));
  const value = hex(128);
  const failed = result === "failed";
  const id = uuid();
  return {
    target: "west",
    id,
    target_id: failed ? null : number % 9 === 0 ? uuid() : id,
    name: nameOf(number),
    size,
    result,
    reason: null,
    fields: result === "updated" ? ["os_version", "hw_disk_bus", "tags"] : [],
    proof: failed ? null : { by: "digest", algorithm: "sha512" },
    digests: [{ algorithm: "sha512", source: value, in_transit: value, target: failed ? hex(128) : value }],
    way: "streamed",
    started: at(from),
    ended: at(from + seconds),
    bytes_read: failed ? Math.floor(size * 0.7) : size,
    bytes_sent: failed ? Math.floor(size * 0.7) : size,
    attempts: 1,
    retries: [],
    stalls: [],
    errors: [],
    hint: null,
    request_ids: [`req-${uuid()}`],
    losses: [],
    notes: [],
  };
}

/** An image that moves no data. */
function untouched(number, from, result, reason) {
  const image = transferred(number, from, result);
  const proven = result === "in_place" || result === "updated";
  return {
    ...image,
    reason,
    ended: at(from + 0.02),
    bytes_read: 0,
    bytes_sent: 0,
    way: null,
    proof: proven ? image.proof : null,
    digests: proven ? image.digests.map((digest) => ({ ...digest, in_transit: null })) : [],
    target_id: result === "skipped" ? null : image.target_id,
  };
}

function failures(images) {
  const [first, second, third] = images.filter((image) => image.result === "failed");
  const middle = (image) => (Date.parse(image.started) + Date.parse(image.ended)) / 2;
  Object.assign(first, {
    errors: [
      "the target refused the data of the image",
      "https://image.west.example/v2/images: 503 Service Unavailable",
    ],
    hint: "see the log of the target's glance-api for the request ids, and run the command again",
    attempts: 3,
    retries: [0.2, 0.5, 0.8].map((part) => ({
      at: new Date(
        Date.parse(first.started) + part * (Date.parse(first.ended) - Date.parse(first.started)),
      ).toISOString(),
      side: "target",
      reason: "503 Service Unavailable",
    })),
  });
  first.digests = first.digests.map((digest) => ({ ...digest, target: null }));
  Object.assign(second, {
    errors: [
      "the data at the target differs from the data at the source",
      "SHA-512 of the stored data does not match",
    ],
    hint: "the replica is deactivated; check the storage of the target",
  });
  Object.assign(third, {
    errors: ["the source stopped sending data", "no byte for 300 s"],
    bytes_read: 4096,
    bytes_sent: 4096,
    stalls: [
      {
        at: new Date(middle(third)).toISOString(),
        side: "source",
        seconds: (Date.parse(third.ended) - middle(third)) / 1000,
      },
    ],
  });
  third.digests = third.digests.map((digest) => ({ ...digest, in_transit: null, target: null }));
}

/** 46 images over four connections: 3 fail. */
function runImages() {
  const results = [
    "failed",
    "failed",
    "failed",
    ...Array(32).fill("copied"),
    ...Array(3).fill("updated"),
    ...Array(4).fill("in_place"),
    ...Array(3).fill("skipped"),
    "removed",
  ];
  const ends = [0.5, 0.5, 0.7, 0.9];
  const images = results
    .map((_, place) => results[(place * 7) % 46])
    .map((result, number) => {
      const lane = ends.indexOf(Math.min(...ends));
      const moves = result === "copied" || result === "failed";
      const reason =
        { skipped: "the image boots from a volume", removed: "the source no longer has this image" }[
          result
        ] ?? null;
      const image = moves
        ? transferred(number, ends[lane], result)
        : untouched(number, ends[lane], result, reason);
      ends[lane] = (Date.parse(image.ended) - START) / 1000 + 0.3;
      return image;
    });
  failures(images);
  const copied = images.filter((image) => image.result === "copied");
  copied[2].retries = [
    {
      at: new Date(Date.parse(copied[2].started) + 500).toISOString(),
      side: "source",
      reason: "connection reset by peer",
    },
  ];
  copied[2].attempts = 2;
  copied[4].losses = [{ kind: "members", detail: '2 members: the target has no project "research"' }];
  copied[5].notes = ['the target has no store "ceph-fast"; the data is in its default store'];
  copied[6].digests.push({ algorithm: "md5", source: hex(32), in_transit: null, target: null });
  return { images, seconds: Math.max(...ends) };
}

/** Bytes so far at 300 instants, from the transfers. */
function throughputOf(images, seconds) {
  const moved = (now) =>
    images.reduce((sum, image) => {
      const [from, to] = [
        (Date.parse(image.started) - START) / 1000,
        (Date.parse(image.ended) - START) / 1000,
      ];
      return sum + image.bytes_read * Math.min(Math.max((now - from) / Math.max(to - from, 0.01), 0), 1);
    }, 0);
  return Array.from({ length: 300 }, (_, place) => {
    const now = ((place + 1) * seconds) / 300;
    return [Number(now.toFixed(3)), Math.floor(moved(now))];
  });
}

function summaryOf(images) {
  const count = (result) => images.filter((image) => image.result === result).length;
  return {
    copied: count("copied"),
    updated: count("updated"),
    in_place: count("in_place"),
    skipped: count("skipped"),
    failed: count("failed"),
    removed: count("removed"),
    broken_off: 0,
    not_started: 0,
    bytes: images.filter((image) => image.result === "copied").reduce((sum, image) => sum + image.size, 0),
    bytes_imported: 0,
    proofs: { verified: count("copied"), size_only: 0, transfer_only: 0, records: 0 },
    lost: { members: 1 },
    members_skipped: 0,
  };
}

export function run() {
  const { images, seconds } = runImages();
  const { start, end } = envelope("livecopy", {
    seconds,
    exit: [6, "integrity failure: data differs from what it should be"],
    next: "glance-replicator verify east west --deep",
  });
  return { ...start, images, throughput: throughputOf(images, seconds), summary: summaryOf(images), ...end };
}

export function runToTargets() {
  const { images, seconds } = runImages();
  const targets = ["west", "north"].map((name) => ({ name, address: `https://image.${name}.example/v2` }));
  const { start, end } = envelope("livecopy", {
    seconds,
    exit: [3, "some images failed"],
    targets,
    next: "glance-replicator livecopy east west north --transfers 4",
  });
  const everywhere = images.flatMap((image) => [
    image,
    { ...image, target: "north", ...(image.result === "failed" ? { result: "broken_off" } : {}) },
  ]);
  const [west, north] = ["west", "north"].map((name) =>
    summaryOf(everywhere.filter((image) => image.target === name)),
  );
  return {
    ...start,
    images: everywhere,
    throughput: throughputOf(images, seconds),
    summary: summaryOf(everywhere),
    by_target: { west, north },
    ...end,
  };
}
