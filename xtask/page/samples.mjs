// Writes JSON reports for the check of the HTML page: node samples.mjs DIRECTORY

import { writeFileSync } from "node:fs";
import { join } from "node:path";

const directory = process.argv[2];
const START = Date.parse("2026-11-30T01:00:00Z");
const [KIB, MIB, GIB] = [1024, 1024 ** 2, 1024 ** 3];

/** Numbers that look random and are the same in each run. */
let seed = 20261130;
function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

function pick(list) {
  return list[Math.floor(random() * list.length)];
}

function hex(length) {
  return Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join("");
}

function uuid() {
  return [8, 4, 4, 4, 12].map(hex).join("-");
}

function at(seconds) {
  return new Date(START + seconds * 1000).toISOString();
}

/** Names that test the page: long, right to left, wide, invisible characters, and attacks. */
const ODD_NAMES = [
  "</script><script>window.attacked = true</script>",
  '<img src=x onerror="window.attacked = true">',
  "invoice\u202egpj.exe",
  "line\u2028separator\u2029 and \u001b[31mred",
  "صورة النظام 24.04 (خادم)",
  "数据库服务器镜像 第十二版 (生产环境)",
  "🐧 Debian 🖥️ 13",
  `a-name-without-any-space-${"x".repeat(220)}`,
  "a name with many words that goes on and on so that the cell has to wrap it onto several lines in the table",
  null,
  "  ",
];
const FAMILIES = [
  "debian-12",
  "debian-13",
  "ubuntu-24.04",
  "rocky-9",
  "windows-2025",
  "cirros-0.6",
  "fedora-43",
  "k8s-node",
];

function nameOf(number) {
  return number < ODD_NAMES.length
    ? ODD_NAMES[number]
    : `${pick(FAMILIES)}-${pick(["amd64", "arm64"])}-2026${String((number % 12) + 1).padStart(2, "0")}`;
}

function envelope(command, { seconds, exit, source, targets, certificates, next }) {
  return {
    start: {
      schema_version: 1,
      command,
      arguments: [command, "east", "west", "--transfers", "4"],
      global_request_id: `req-${uuid()}`,
      selection: [],
      shard: null,
      tool: {
        version: "0.1.0",
        tls: { stack: "rustls", library: "rustls 0.23.46 with AWS-LC 1.19.0", fips: false },
      },
      started: at(0),
      source: source ?? { name: "east", address: "https://glance.east.example:9292" },
      targets: targets ?? [{ name: "west", address: "https://image.west.example/v2" }],
    },
    end: {
      ended: at(seconds),
      seconds,
      certificates: certificates ?? CERTIFICATES,
      errors: [],
      exit_code: exit[0],
      exit_meaning: exit[1],
      next_command: next ?? null,
    },
  };
}

const CERTIFICATES = [
  {
    side: "source",
    server: "glance.east.example:9292",
    subject: "CN=glance.east.example",
    issuer: "CN=East Cloud Issuing CA 2,O=Example Operations,C=DE",
    expires: "2027-09-01T12:00:00Z",
    days_left: 275,
  },
  {
    side: "target",
    server: "image.west.example:443",
    subject: "CN=image.west.example",
    issuer: "CN=West Internal CA,O=Example Operations,C=DE",
    expires: "2026-12-12T08:30:00Z",
    days_left: 12,
  },
];

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
  };
}

function run() {
  const { images, seconds } = runImages();
  const { start, end } = envelope("livecopy", {
    seconds,
    exit: [6, "integrity failure: data differs from what it should be"],
    next: "glance-replicator verify east west --deep",
  });
  return { ...start, images, throughput: throughputOf(images, seconds), summary: summaryOf(images), ...end };
}

function runToTargets() {
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

function compared(number) {
  const id = uuid();
  const state =
    number % 25 === 0
      ? pick(["missing", "metadata", "members", "status", "extra", "content", "blocked", "skipped"])
      : "same";
  const differences = {
    metadata: DIFFERENCES,
    content: [{ field: "os_hash_value", source: hex(128), target: hex(128) }],
    status: [{ field: "status", source: "active", target: "deactivated" }],
    members: [{ field: "members", source: "a1b2 accepted, c3d4 pending", target: "a1b2 accepted" }],
  };
  return {
    id,
    target_id: state === "missing" || state === "blocked" ? null : id,
    name: number < ODD_NAMES.length ? nameOf(number) : `${nameOf(number)}-${number}`,
    size: Math.floor(random() * 40 * GIB),
    state,
    reason: state === "blocked" ? "the target does not accept the property hw_firmware_type" : null,
    differences: differences[state] ?? [],
    losses: [],
    notes: [],
  };
}

const DIFFERENCES = [
  { field: "hw_disk_bus", source: "scsi", target: "virtio" },
  {
    field: "description",
    source: "Nightly build of the golden image, 2026-11-29, kernel 6.12.48, approved by operations",
    target: "Nightly build of the golden image, 2026-10-02, kernel 6.12.41, approved by operations",
  },
  { field: "os_version", source: "13.2", target: null },
  { field: "tags", source: ["golden", "nightly"], target: ["golden"] },
];

function compare() {
  const images = Array.from({ length: 10000 }, (_, number) => compared(number));
  const states = {};
  for (const image of images) states[image.state] = (states[image.state] ?? 0) + 1;
  const different = images.filter((image) => !["same", "skipped"].includes(image.state)).length;
  const { start, end } = envelope("compare", {
    seconds: 41.7,
    exit: [1, "differences"],
    next: "glance-replicator plan east west",
  });
  return {
    ...start,
    images,
    summary: { compared: images.length, different, states, bytes: 812 * GIB },
    ...end,
  };
}

/** A comparison as the tool writes it: images that are the same are counted and not listed. */
function compareWithoutDifferences() {
  const { start, end } = envelope("compare", { seconds: 3.2, exit: [0, "success"] });
  return {
    ...start,
    images: [],
    summary: { compared: 46, different: 0, states: { same: 46 }, bytes: 0 },
    ...end,
  };
}

function verify() {
  const verdicts = [
    "verified",
    "verified",
    "verified",
    "bad",
    "missing",
    "no data",
    "not chosen",
    "unproven",
  ];
  const images = verdicts.map((verdict, number) => ({
    id: uuid(),
    name: nameOf(number + 4),
    size: Math.floor(random() * 4 * GIB),
    state: verdict === "missing" ? "missing" : "same",
    verdict,
    by: verdict === "verified" ? pick(["records", "reading"]) : null,
    proof: verdict === "verified" ? "sha512" : null,
    reason: verdict === "unproven" ? "the record has no digest; only the size was compared" : null,
    details:
      verdict === "bad" ? ["the data does not match its SHA-512", "read 1048576 of 1048576 bytes"] : [],
  }));
  const files = [{ file: "images/0000.img", state: "leftover", reason: "an interrupted run left this file" }];
  const { start, end } = envelope("verify", {
    seconds: 812,
    exit: [6, "integrity failure: data differs from what it should be"],
    source: { name: "./images", address: null },
    targets: [],
    certificates: [],
  });
  return {
    ...start,
    images,
    files,
    summary: {
      images: 8,
      verdicts: { verified: 3, bad: 1, missing: 1, "no data": 1, "not chosen": 1, unproven: 1 },
      read: 2,
      bytes: 3 * GIB,
    },
    ...end,
  };
}

function doctor() {
  const findings = [
    { topic: "trust store", verdict: "ok", found: ["/etc/ssl/certs, 146 certificates"], hint: null },
    {
      topic: "certificate",
      verdict: "WARN",
      found: ["CN=image.west.example", "expires in 12 days"],
      hint: "renew the certificate of image.west.example",
    },
    { topic: "permissions", verdict: "ok", found: [], hint: null },
  ];
  const { start, end } = envelope("doctor", { seconds: 1.4, exit: [0, "success"] });
  return {
    ...start,
    stores: [
      { store: "east", findings },
      { store: "west", findings },
    ],
    ...end,
  };
}

function list() {
  const { start, end } = envelope("ls", { seconds: 0.8, exit: [0, "success"], targets: [] });
  const images = ODD_NAMES.map((name) => ({
    id: uuid(),
    name,
    size: Math.floor(random() * GIB),
    status: "active",
    visibility: pick(["public", "private"]),
    disk_format: "qcow2",
    protected: random() < 0.5,
    tags: ["golden"],
  }));
  return { ...start, images, ...end };
}

/** A run that failed before the first image. */
function early() {
  const { start, end } = envelope("sync", {
    seconds: 0.3,
    exit: [4, "no connection, or a server that is not trusted"],
    certificates: [{ ...CERTIFICATES[1], expires: "2026-11-27T00:00:00Z", days_left: -3 }],
  });
  const errors = [
    {
      message: "certificate of image.west.example:443 not trusted",
      causes: ["the certificate expired 3 days ago"],
      hint: "renew the certificate of the target",
      request_ids: [],
    },
  ];
  return { ...start, images: [], ...end, errors };
}

const samples = {
  run,
  targets: runToTargets,
  compare,
  same: compareWithoutDifferences,
  verify,
  doctor,
  list,
  early,
  bare: () => ({}),
};
for (const [name, make] of Object.entries(samples)) {
  writeFileSync(join(directory, `${name}.json`), `${JSON.stringify(make())}\n`);
}
