//! `cryptlet package`: build, check, show, send and fetch packages. No chain and no host needed.

mod check;
mod show;

use crate::{
    args::{BuildArgs, InspectArgs, LayoutArgs, OciArgs, PackageAction, PackageArgs, PullArgs, PushArgs},
    logs,
};
use anyhow::{Context, Result};
use cryptlet_host::{
    Package,
    package::{Inspection, PackageStore, Provenance, Registry, provenance},
};
use std::{path::Path, process::ExitCode};

pub(crate) fn run(args: PackageArgs) -> Result<ExitCode> {
    let output = match &args.action {
        PackageAction::Build(args) => args.output,
        PackageAction::Check(args) => args.output,
        PackageAction::Inspect(args) => args.output,
        PackageAction::Push(args) => args.output,
        PackageAction::Pull(args) => args.output,
    };
    logs::start(output);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.action {
            PackageAction::Build(args) => build(&args),
            PackageAction::Check(args) => check::run(&args).await,
            PackageAction::Inspect(args) => inspect(&args).await,
            PackageAction::Push(args) => push(&args).await,
            PackageAction::Pull(args) => pull(&args).await,
        }
    })
}

/// A package as it was asked for, and the signatures that come with it.
pub(crate) struct Found {
    pub(crate) package: Package,
    pub(crate) provenance: Vec<Provenance>,
}

/// Finds a package: `oci://…`, a folder to build it from, or a name or digest in the layout.
pub(crate) async fn find(what: &str, layout: &Path, registry: &OciArgs) -> Result<Found> {
    if what.starts_with("oci://") {
        let (package, provenance) = connect(what, registry)?.pull().await?;
        return Ok(Found { package, provenance });
    }
    if Path::new(what).is_dir() {
        return Ok(Found { package: Package::build(Path::new(what))?, provenance: Vec::new() });
    }
    anyhow::ensure!(
        layout.join("oci-layout").is_file(),
        "{what:?} is no folder, and there is no layout of packages in {}: name a folder, oci://…, or --layout DIR",
        layout.display()
    );
    let store = PackageStore::open(layout)?;
    let package = store.get(&what.parse().unwrap_or_else(|never| match never {}))?;
    let provenance = store.provenance(package.digest())?;
    Ok(Found { package, provenance })
}

fn build(args: &BuildArgs) -> Result<ExitCode> {
    let package = Package::build_with(&args.folder, args.source.as_deref())?;
    let store = PackageStore::open(&args.layout.layout)?;
    store.add(&package)?;
    if let Some(key) = &args.private_key {
        let signed = provenance::sign(&package, &key.0).map_err(anyhow::Error::msg)?;
        store.attach(&package, &signed)?;
    }
    let provenance = store.provenance(package.digest())?;
    show::kept(args.output, "built", &Inspection::of(&package, &provenance), &args.layout.layout.display().to_string());
    Ok(ExitCode::SUCCESS)
}

async fn inspect(args: &InspectArgs) -> Result<ExitCode> {
    let found = find(&args.package, &args.layout.layout, &args.registry).await?;
    show::everything(args.output, &Inspection::of(&found.package, &found.provenance));
    Ok(ExitCode::SUCCESS)
}

async fn push(args: &PushArgs) -> Result<ExitCode> {
    let found = find(&args.package, &args.layout.layout, &args.registry).await?;
    connect(&args.to, &args.registry)?.push(&found.package, &found.provenance).await?;
    show::kept(args.output, "pushed", &Inspection::of(&found.package, &found.provenance), &args.to);
    Ok(ExitCode::SUCCESS)
}

async fn pull(args: &PullArgs) -> Result<ExitCode> {
    let (package, provenance) = connect(&args.from, &args.registry)?.pull().await?;
    keep(&args.layout, &package, &provenance)?;
    let place = args.layout.layout.display().to_string();
    show::kept(args.output, "pulled", &Inspection::of(&package, &provenance), &place);
    Ok(ExitCode::SUCCESS)
}

fn keep(layout: &LayoutArgs, package: &Package, provenance: &[Provenance]) -> Result<()> {
    let store = PackageStore::open(&layout.layout)?;
    store.add(package)?;
    for one in provenance {
        store.attach(package, one)?;
    }
    Ok(())
}

fn connect(place: &str, args: &OciArgs) -> Result<Registry> {
    let login = match (&args.registry_user, &args.registry_password_file) {
        (Some(user), Some(file)) => {
            let password =
                std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
            Some((user.clone(), password.trim_end_matches(['\r', '\n']).to_owned()))
        }
        _ => None,
    };
    Ok(Registry::new(place.parse()?, login, args.insecure_plain_http))
}
