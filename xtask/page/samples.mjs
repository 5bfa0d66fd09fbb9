// Writes JSON reports for the check of the HTML page: node samples.mjs DIRECTORY

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, runToTargets } from "./runs.mjs";
import { CERTIFICATES, GIB, ODD_NAMES, envelope, hex, nameOf, pick, random, uuid } from "./values.mjs";

const directory = process.argv[2];

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
    summary: { compared: images.length, different, states, bytes: 812 * GIB, members_skipped: 0 },
    ...end,
  };
}

/** A comparison as the tool writes it: images that are the same are counted and not listed. */
function compareWithoutDifferences() {
  const { start, end } = envelope("compare", { seconds: 3.2, exit: [0, "success"] });
  return {
    ...start,
    images: [],
    summary: { compared: 46, different: 0, states: { same: 46 }, bytes: 0, members_skipped: 0 },
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
