// What the sample reports are made of: numbers, names, times and the envelope.

export const START = Date.parse("2026-11-30T01:00:00Z");
export const [KIB, MIB, GIB] = [1024, 1024 ** 2, 1024 ** 3];

/** Numbers that look random and are the same in each run. */
let seed = 20261130;
export function random() {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 32;
}

export function pick(list) {
  return list[Math.floor(random() * list.length)];
}

export function hex(length) {
  return Array.from({ length }, () => Math.floor(random() * 16).toString(16)).join("");
}

export function uuid() {
  return [8, 4, 4, 4, 12].map(hex).join("-");
}

export function at(seconds) {
  return new Date(START + seconds * 1000).toISOString();
}

/** Names that test the page: long, right to left, wide, invisible characters, and attacks. */
export const ODD_NAMES = [
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

export function nameOf(number) {
  return number < ODD_NAMES.length
    ? ODD_NAMES[number]
    : `${pick(FAMILIES)}-${pick(["amd64", "arm64"])}-2026${String((number % 12) + 1).padStart(2, "0")}`;
}

export function envelope(command, { seconds, exit, source, targets, certificates, next }) {
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

export const CERTIFICATES = [
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
