//! The files for containers, against the schemas of those who read them.

use super::{read, shipped};
use crate::support::{program, succeed};

#[tokio::test]
async fn compose_takes_its_file() {
    let Some(check) = program("check-jsonschema") else {
        return;
    };
    for name in ["compose.yaml", "several/compose.yaml"] {
        let file = shipped(name);
        let schema = ["--builtin-schema", "vendor.compose-spec"];
        succeed(&check, &[&schema[..], &[file.to_str().unwrap()]].concat()).await;
        let file = read(name);
        for line in [
            "user: \"10001:10001\"",
            "read_only: true",
            "cap_drop: [ALL]",
            "no-new-privileges:true",
        ] {
            assert!(file.contains(line), "{line}");
        }
    }
}

#[test]
fn the_two_relays_of_compose_are_those_behind_its_load_balancer() {
    let file = read("several/compose.yaml");
    for line in [
        "  relay-1: *relay\n",
        "  relay-2: *relay\n",
        "RELAY_UPSTREAMS: relay-1:8080 relay-2:8080\n",
        // The image names a file, and nothing may be given twice.
        "RELAY_STORE: \"\"\n",
        "RELAY_STORE_FILE: /run/secrets/relay_store\n",
        "RELAY_KEY_FILE: /run/secrets/relay_key\n",
        "internal: true\n",
    ] {
        assert!(file.contains(line), "{line}");
    }
}

#[tokio::test]
async fn kubernetes_takes_its_file() {
    let Some(validate) = program("kubernetes-validate") else {
        return;
    };
    let file = shipped("kubernetes.yaml");
    // The oldest that has everything in it, and the newest that the program knows.
    for version in ["1.29", "1.37"] {
        let arguments = ["--strict", "-k", version, file.to_str().unwrap()];
        let said = succeed(&validate, &arguments).await;
        assert_eq!(said.matches(" passed for ").count(), 3, "{said}");
    }
    let file = read("kubernetes.yaml");
    for line in [
        "runAsNonRoot: true",
        "runAsUser: 10001",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
        "replicas: 1\n",
    ] {
        assert!(file.contains(line), "{line}");
    }
}

#[tokio::test]
async fn kubernetes_takes_its_file_for_several_relays() {
    let Some(validate) = program("kubernetes-validate") else {
        return;
    };
    let file = shipped("several/kubernetes.yaml");
    for version in ["1.29", "1.37"] {
        let arguments = ["--strict", "-k", version, file.to_str().unwrap()];
        let said = succeed(&validate, &arguments).await;
        assert_eq!(said.matches(" passed for ").count(), 4, "{said}");
    }
    let file = read("several/kubernetes.yaml");
    for line in [
        "runAsNonRoot: true",
        "readOnlyRootFilesystem: true",
        "allowPrivilegeEscalation: false",
        "drop: [ALL]",
        "replicas: 3\n",
        "rollingUpdate: { maxUnavailable: 0, maxSurge: 1 }",
        "path: /readyz",
        "topologyKey: kubernetes.io/hostname",
        // The image names a file, and nothing may be given twice.
        "{ name: RELAY_STORE, value: \"\" }",
        "{ name: RELAY_STORE_FILE, value: /secrets/store }",
        "{ name: RELAY_KEY_FILE, value: /secrets/key }",
    ] {
        assert!(file.contains(line), "{line}");
    }
}

#[tokio::test]
async fn the_image_is_built_without_a_complaint_of_hadolint() {
    let Some(hadolint) = program("hadolint") else {
        return;
    };
    let file = shipped("Dockerfile");
    succeed(&hadolint, &[file.to_str().unwrap()]).await;
}

#[test]
fn the_image_runs_as_a_number_and_probes_itself() {
    let file = read("Dockerfile");
    let (_, runtime) = file.rsplit_once("\nFROM ").unwrap();
    assert!(runtime.contains("\nUSER 10001:10001\n"));
    let probe = r#"CMD ["gladly-relay", "health"]"#;
    let health = runtime.lines().find(|line| line.starts_with("HEALTHCHECK"));
    assert!(health.unwrap().ends_with(probe));
    assert!(runtime.contains(r#"ENTRYPOINT ["gladly-relay"]"#));
}

#[test]
fn the_image_is_built_of_what_docker_may_read_and_by_the_pinned_toolchain() {
    let (file, root) = (read("Dockerfile"), env!("CARGO_MANIFEST_DIR"));
    let ignore = std::fs::read_to_string(format!("{root}/.dockerignore")).unwrap();
    let allowed: Vec<&str> = ignore
        .lines()
        .filter_map(|line| line.strip_prefix('!'))
        .collect();
    let copies = file.lines().filter_map(|line| line.strip_prefix("COPY "));
    let mut sources = Vec::new();
    for copy in copies.filter(|copy| !copy.starts_with("--from")) {
        let mut names: Vec<&str> = copy.split(' ').collect();
        names.pop();
        sources.append(&mut names);
    }
    assert_eq!(allowed, sources);
    assert!(ignore.contains("\n*\n"), "nothing else");
    let toolchain = std::fs::read_to_string(format!("{root}/.ci/toolchain")).unwrap();
    let version = toolchain.trim();
    assert!(file.contains(&format!("\nFROM rust:{version}-")));
    assert!(version.starts_with(env!("CARGO_PKG_RUST_VERSION")));
}
