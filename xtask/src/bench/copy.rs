//! Copies between two real Glances: one big image, and many small ones.

use std::fs;
use std::path::Path;

use super::measure::{Race, Target, Way};
use super::programs::{Glances, Programs};
use super::server::write_image;
use crate::cloud::{self, Records};
use crate::failure::{Context, Failure};

const BIG: u64 = 2048;
const SMALL: u64 = 4;
const MANY: u32 = 200;
/// Number of images that the slowest peer copies per run, out of [`MANY`].
const FEW: u32 = 10;

/// Copies one image of 2 GiB.
pub(crate) fn big() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let glances = Glances::start(&programs.directory, Records::Unshared(0))?;
    let id = &fill(&glances, &programs.directory, 1, BIG)?[0];
    let peers = Peers::write(&programs.directory, &glances)?;
    let gib = (2.0, "GiB");
    let mut ways = vec![
        Way::peer("curl \\| curl, Content-Length", peers.curl("length", id, BIG)),
        Way::peer("curl \\| curl, chunked", peers.curl("chunked", id, BIG)),
        Way::peer("curl \\| tee \\| curl, and sha512sum", peers.curl("hashed", id, BIG)),
        Way::peer("glance image-download \\| image-create", peers.glance(id)),
        Way::peer("openstacksdk, streamed", peers.sdk("stream", id)),
        Way::peer("openstacksdk, glance-download import", peers.sdk("import", id)),
        Way::peer("openstack image save, then create", peers.openstack(id)),
    ];
    for (name, stack, cpu) in STACKS {
        let targets = [Target::Wall(1.0), Target::Cpu(cpu), Target::Rss(40.0)];
        ways.push(Way::ours(name, ours(&programs, &glances, stack), &targets));
    }
    let title = "1 × 2 GiB between two real Glances";
    let race = Race { title, amount: gib, rounds: 3, ways, between: Some(&cloud::empty_target) };
    race.run()?;
    cloud::empty()
}

/// Copies 200 images of 4 MiB.
pub(crate) fn small() -> Result<(), Failure> {
    let programs = Programs::build()?;
    let glances = Glances::start(&programs.directory, Records::Unshared(0))?;
    let ids = fill(&glances, &programs.directory, MANY, SMALL)?;
    let peers = Peers::write(&programs.directory, &glances)?;
    let few = ids.iter().take(FEW as usize).map(|id| format!("({})", peers.openstack(id)));
    let part = f64::from(FEW) / f64::from(MANY);
    let openstack = few.collect::<Vec<_>>().join("; ");
    let mut ways = vec![
        Way::peer("curl \\| curl, 4 at once", peers.curls(&ids, 4)),
        Way::peer("curl \\| curl, 8 at once", peers.curls(&ids, 8)),
        Way::peer("curl \\| curl, one at a time", peers.curls(&ids, 1)),
        Way::peer("openstacksdk, one at a time", peers.sdk("stream", &ids.join(" "))),
        Way { part, ..Way::peer("openstack image save, then create", openstack) },
    ];
    for (name, stack, _) in STACKS {
        let targets = [Target::Wall(0.85), Target::Cpu(0.7)];
        ways.push(Way::ours(name, ours(&programs, &glances, stack), &targets));
    }
    let title = "200 × 4 MiB between two real Glances";
    let amount = (f64::from(MANY), "images");
    let race = Race { title, amount, rounds: 3, ways, between: Some(&cloud::empty_target) };
    race.run()?;
    cloud::empty()
}

fn ours(programs: &Programs, glances: &Glances, stack: &str) -> String {
    glances.tool(programs, &format!("livecopy --tls {stack}"))
}

/// Creates `count` images of `mib` MiB each in Glance A.
fn fill(glances: &Glances, directory: &Path, count: u32, mib: u64) -> Result<Vec<String>, Failure> {
    let data = directory.join("data");
    write_image(&data, usize::try_from(mib).unwrap_or(usize::MAX))?;
    let id = |number: u32| format!("00000000-0000-4000-8000-{number:012}");
    let record = r#"{\"id\": \"$id\", \"name\": \"bench\", \"disk_format\": \"raw\", \"container_format\": \"bare\"}"#;
    let call = "curl -sSf -o /dev/null --cacert $CA -H \"X-Auth-Token: $TOKEN\"";
    let (a, data_path) = (&glances.a, data.display());
    glances.run(&format!(
        "for n in $(seq -f %012.0f 1 {count}); do id=00000000-0000-4000-8000-$n; \
         {call} -H 'Content-Type: application/json' -d \"{record}\" {a}/v2/images; \
         {call} -X PUT -T {data_path} -H 'Content-Type: application/octet-stream' \
         {a}/v2/images/$id/file; done"
    ))?;
    fs::remove_file(&data).context(|| "cannot remove the data")?;
    Ok((1..=count).map(id).collect())
}

/// Command lines of the peers.
struct Peers<'a> {
    glances: &'a Glances,
    curl: String,
    sdk: String,
    file: String,
}

impl<'a> Peers<'a> {
    fn write(directory: &Path, glances: &'a Glances) -> Result<Self, Failure> {
        let scripts = [("curl.sh", include_str!("../../bench/curl.sh")), ("sdk.py", SDK)];
        for (name, text) in scripts {
            fs::write(directory.join(name), text).context(|| name.to_owned())?;
        }
        let path = |name| directory.join(name).display().to_string();
        Ok(Self { glances, curl: path("curl.sh"), sdk: path("sdk.py"), file: path("saved") })
    }

    fn curl(&self, how: &str, id: &str, mib: u64) -> String {
        let Glances { a, b, .. } = self.glances;
        self.glances.line(&format!("bash {} {how} {a} {b} {id} {}", self.curl, mib << 20))
    }

    fn curls(&self, ids: &[String], at_once: usize) -> String {
        let Glances { a, b, .. } = self.glances;
        self.glances.line(&format!(
            "printf '%s\\n' {} | xargs -P {at_once} -I ID bash {} length {a} {b} ID {}",
            ids.join(" "),
            self.curl,
            SMALL << 20
        ))
    }

    fn glance(&self, id: &str) -> String {
        let Glances { a, b, .. } = self.glances;
        let glance = self.glances.of_openstack("glance");
        let call = format!("{glance} --os-cacert $CA --os-auth-token $TOKEN --os-image-url");
        self.glances.line(&format!(
            "{call} {a} image-download {id} | \
             {call} {b} image-create --name copied --disk-format raw --container-format bare"
        ))
    }

    fn sdk(&self, how: &str, ids: &str) -> String {
        let python = self.glances.of_openstack("python");
        self.glances.line(&format!("{python} {} {how} {ids}", self.sdk))
    }

    fn openstack(&self, id: &str) -> String {
        let (openstack, file) = (self.glances.of_openstack("openstack"), &self.file);
        self.glances.line(&format!(
            "OS_CLOUD=a {openstack} image save --file {file} {id}; \
             OS_CLOUD=b {openstack} image create --file {file} --disk-format raw \
             --container-format bare copied; rm {file}"
        ))
    }
}

/// Name, TLS stack, and CPU limit for the big image (as a multiple of the fastest peer's) of each
/// contender of ours.
const STACKS: [(&str, &str, f64); 2] =
    [("livecopy, rustls", "rustls", 1.3), ("livecopy, native", "native", 1.15)];

const SDK: &str = include_str!("../../bench/sdk.py");
