//! Runs the container of a pod: its user, a read-only root, its volumes, no capabilities.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::super::site::Site;
use super::manifest::{Mount, Template, Volume};
use crate::failure::{Context, Failure};
use crate::shell::{output, succeed};

/// The name of a pod.
pub(crate) struct Name {
    pub(crate) job: String,
    pub(crate) index: u32,
}

/// A machine that runs pods.
pub(crate) struct Node {
    directory: PathBuf,
}

impl Node {
    /// A machine with an image of the tool, and a secret for the clouds `a` and `b`.
    pub(crate) fn new(site: &Site, tool: &Path) -> Result<Self, Failure> {
        let node = Self { directory: site.path("node") };
        node.make_image(tool)?;
        node.write_secret(site)?;
        Ok(node)
    }

    /// Starts the container of a pod, with other arguments than its template on request.
    pub(crate) fn start(
        &self,
        template: &Template<'_>,
        pod: &Name,
        arguments: Option<&[&str]>,
    ) -> Result<Container, Failure> {
        let [user, group, volume_group] = template.ids()?;
        let root = self.root(template, pod, volume_group)?;
        let variables = template.variables(pod)?;
        let mut command = Command::new("setpriv");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin").env("HOME", "/").envs(&variables);
        command.args(["--no-new-privs", "chroot"]);
        command.arg(format!("--userspec={user}:{group}")).arg(format!("--groups={volume_group}"));
        command.arg(&root).arg(TOOL);
        match arguments {
            Some(arguments) => command.args(arguments),
            None => command.args(template.arguments(&variables)),
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(Container(command.spawn().context(|| "cannot run setpriv")?))
    }

    /// The root of a container, with everything mounted.
    fn root(&self, template: &Template<'_>, pod: &Name, group: u32) -> Result<PathBuf, Failure> {
        let place = self.directory.join("pods").join(format!("{}-{}", pod.job, pod.index));
        let root = place.join("root");
        if root.join("proc/self").exists() {
            return Ok(root);
        }
        let (image, mounts) = (self.directory.join("image"), template.mounts()?);
        create(&root)?;
        for inside in ["/proc", "/dev"].into_iter().chain(mounts.iter().map(|mount| mount.path)) {
            create(&below(&image, inside))?;
        }
        bind(&image, &root, template.is_root_read_only())?;
        mount(&["-t", "proc", "proc"], &root.join("proc"))?;
        make_devices(&root.join("dev"))?;
        for Mount { path, is_read_only, volume } in mounts {
            let volume = self.volume(&place, &volume, group)?;
            bind(&volume, &below(&root, path), is_read_only)?;
        }
        Ok(root)
    }

    /// The directory of a volume. Its group and its mode are those that `fsGroup` gives it.
    fn volume(&self, pod: &Path, volume: &Volume<'_>, group: u32) -> Result<PathBuf, Failure> {
        let volume = match volume {
            Volume::Secret(mode) => {
                let secret = self.directory.join("secret");
                let files = secret.join(DATA);
                for entry in fs::read_dir(&files).context(|| files.display().to_string())? {
                    let path = entry.context(|| files.display().to_string())?.path();
                    give(&path, group, *mode)?;
                }
                return Ok(secret);
            }
            Volume::Claim(name) => self.directory.join("claims").join(name),
            Volume::Empty(name) => pod.join(name),
        };
        create(&volume)?;
        give(&volume, group, 0o2775)?;
        Ok(volume)
    }

    /// Makes the root of the image: the tool, and the libraries that it loads.
    fn make_image(&self, tool: &Path) -> Result<(), Failure> {
        let image = self.directory.join("image");
        let libraries = output(Command::new("ldd").arg(tool))?;
        let libraries = libraries.split_whitespace().filter(|word| word.starts_with('/'));
        let files = libraries.map(|library| (Path::new(library), below(&image, library)));
        for (from, to) in files.chain([(tool, below(&image, TOOL))]) {
            to.parent().map_or(Ok(()), create)?;
            fs::copy(from, &to).context(|| from.display().to_string())?;
        }
        Ok(())
    }

    /// Writes the secret as Kubernetes does: every file is a link into a directory that a link names.
    fn write_secret(&self, site: &Site) -> Result<(), Failure> {
        let secret = self.directory.join("secret");
        let ca = site.path("ca.pem");
        let ca = fs::read_to_string(&ca).context(|| ca.display().to_string())?;
        let cloud = |name: &str, url: &str| {
            let auth = format!("{{auth_type: none, auth: {{endpoint: '{url}'}}");
            format!("  {name}: {auth}, cacert: /etc/openstack/ca.pem}}\n")
        };
        let clouds = ["clouds:\n", &cloud("a", &site.a.url), &cloud("b", &site.b.url)].concat();
        create(&secret.join(DATA))?;
        let link = |to: &str, name: &str| {
            symlink(to, secret.join(name)).context(|| format!("cannot link {name}"))
        };
        link(DATA, "..data")?;
        for (name, text) in
            [("clouds.yaml", &*clouds), ("secure.yaml", "clouds: {}\n"), ("ca.pem", &ca)]
        {
            let file = secret.join(DATA).join(name);
            fs::write(&file, text).context(|| file.display().to_string())?;
            link(&format!("..data/{name}"), name)?;
        }
        Ok(())
    }
}

/// A running container.
pub(crate) struct Container(Child);

impl Container {
    /// The standard output. Fails unless the exit code is 0.
    pub(crate) fn succeed(self) -> Result<String, Failure> {
        let (is_success, said) = self.end()?;
        if is_success { Ok(said) } else { Err(Failure::new(format!("a pod failed:\n{said}"))) }
    }

    /// The output. Fails if the exit code is 0.
    pub(crate) fn fail(self) -> Result<String, Failure> {
        let (is_success, said) = self.end()?;
        if is_success { Err(Failure::new(format!("a pod should fail:\n{said}"))) } else { Ok(said) }
    }

    fn end(self) -> Result<(bool, String), Failure> {
        let output = self.0.wait_with_output().context(|| "cannot wait for a pod")?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        if !output.status.success() {
            said += &String::from_utf8_lossy(&output.stderr);
        }
        Ok((output.status.success(), said))
    }
}

fn make_devices(directory: &Path) -> Result<(), Failure> {
    mount(&["-t", "tmpfs", "-o", "mode=755", "tmpfs"], directory)?;
    for (name, minor) in [("null", "3"), ("zero", "5"), ("random", "8"), ("urandom", "9")] {
        let mut mknod = Command::new("mknod");
        mknod.args(["--mode=666"]).arg(directory.join(name)).args(["c", "1", minor]);
        succeed(&mut mknod)?;
    }
    mount(&["-o", "remount,ro"], directory)
}

fn bind(from: &Path, to: &Path, is_read_only: bool) -> Result<(), Failure> {
    mount(&[OsStr::new("--bind"), from.as_os_str()], to)?;
    if is_read_only { mount(&["-o", "remount,bind,ro"], to) } else { Ok(()) }
}

fn mount(arguments: &[impl AsRef<OsStr>], to: &Path) -> Result<(), Failure> {
    succeed(Command::new("mount").args(arguments).arg(to))
}

fn create(directory: &Path) -> Result<(), Failure> {
    fs::create_dir_all(directory).context(|| directory.display().to_string())
}

fn give(path: &Path, group: u32, mode: u32) -> Result<(), Failure> {
    chown(path, None, Some(group))
        .and_then(|()| fs::set_permissions(path, Permissions::from_mode(mode)))
        .context(|| path.display().to_string())
}

fn below(root: &Path, path: &str) -> PathBuf {
    root.join(path.trim_start_matches('/'))
}

/// The tool in the image.
const TOOL: &str = "/usr/bin/glance-replicator";
/// The directory of a secret's files.
const DATA: &str = "..2026_11_30_02_00_00.1";
