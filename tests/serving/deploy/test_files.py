"""Deployment files say what they should, and the parts of each fit together."""

import re

import pytest

from keras_attn.serving import Options
from keras_attn.serving.deploy import KINDS, Target, deployment_files
from keras_attn.serving.server.flags import check_options, parse_flags
from keras_attn.serving.server.options import ignored_options

yaml = pytest.importorskip("yaml", reason="it reads the files")

BATCHING = "max_batch_size { value: 37 }\n"
TARGET = Target("De_en.2", "/srv/mo$dels/De_en.2", 9_000_000, BATCHING, cpus=3, graph_bytes=2_000_000)
MODEL_PATH = "/v1/models/De_en.2"
# What an API server asks for, by kind.
REQUIRED = {
    "ConfigMap": ("v1", ["data"]),
    "PersistentVolumeClaim": ("v1", ["spec.accessModes", "spec.resources.requests.storage"]),
    "Deployment": ("apps/v1", ["spec.selector.matchLabels", "spec.template.spec.containers"]),
    "Service": ("v1", ["spec.selector", "spec.ports"]),
    "HorizontalPodAutoscaler": (
        "autoscaling/v2",
        ["spec.scaleTargetRef", "spec.maxReplicas", "spec.metrics"],
    ),
    "PodDisruptionBudget": ("policy/v1", ["spec.minAvailable", "spec.selector.matchLabels"]),
    "ServingRuntime": ("serving.kserve.io/v1alpha1", ["spec.containers", "spec.supportedModelFormats"]),
    "InferenceService": ("serving.kserve.io/v1beta1", ["spec.predictor.model.storageUri"]),
}


def documents(kind, target=TARGET):
    """The objects of a file by their kind, each once."""
    found = list(yaml.safe_load_all(deployment_files(kind, target)[f"{kind}.yaml"]))
    if kind == "compose":
        return found[0]
    assert len({document["kind"] for document in found}) == len(found)
    return {document["kind"]: document for document in found}


def at(document, path):
    for name in path.split("."):
        document = document[name]
    return document


def compose_flags():
    return documents("compose")["services"]["model-server"]["command"]


def pod():
    return documents("kubernetes")["Deployment"]["spec"]["template"]


def container():
    (only,) = pod()["spec"]["containers"]
    return only


def runtime_container():
    (only,) = documents("kserve")["ServingRuntime"]["spec"]["containers"]
    return only


FLAGS = {
    "compose": compose_flags,
    "kubernetes": lambda: container()["args"],
    "kserve": lambda: runtime_container()["args"],
}


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_left_to_fill_in(kind):
    for text in deployment_files(kind, TARGET).values():
        assert not re.search(r"(?<!\$)\$\{?[a-z_]", text)
        assert "\t" not in text


def test_another_kind():
    with pytest.raises(ValueError, match=r"`kind` is unknown. Expected one of \['compose'.*kind='helm'"):
        deployment_files("helm", TARGET)


@pytest.mark.parametrize("kind", KINDS)
def test_every_flag_is_known_and_has_an_effect(kind):
    flags = FLAGS[kind]()
    options, unknown = parse_flags(flags)
    check_options(options)
    assert unknown == []
    assert ignored_options(options) == {}
    assert len({flag.partition("=")[0] for flag in flags}) == len(flags)
    assert (options.model_name, options.enable_batching, options.num_load_threads) == ("De_en.2", True, 1)
    assert (options.rest_api_num_threads, options.grpc_max_threads) == (74, 74)
    assert (options.tensorflow_intra_op_parallelism, options.tensorflow_inter_op_parallelism) == (1, 3)
    assert options.enable_model_warmup
    assert Options().rest_api_port != options.rest_api_port


@pytest.mark.parametrize("kind", ["kubernetes", "kserve"])
def test_objects_have_what_their_kind_asks_for(kind):
    for name, document in documents(kind).items():
        version, required = REQUIRED[name]
        assert document["apiVersion"] == version
        assert all(at(document, path) for path in required)
        assert re.fullmatch(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", document["metadata"]["name"])


def test_selectors_match_the_labels_of_the_pods():
    objects = documents("kubernetes")
    labels = pod()["metadata"]["labels"].items()
    for name, path in [
        ("Deployment", "spec.selector.matchLabels"),
        ("Service", "spec.selector"),
        ("PodDisruptionBudget", "spec.selector.matchLabels"),
    ]:
        assert at(objects[name], path).items() <= labels


def test_ports_are_those_of_the_flags():
    options, _ = parse_flags(container()["args"])
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    assert ports == {"grpc": options.port, "rest": options.rest_api_port}
    service = documents("kubernetes")["Service"]["spec"]["ports"]
    assert {port["targetPort"]: port["port"] for port in service} == ports
    assert pod()["metadata"]["annotations"]["prometheus.io/port"] == str(options.rest_api_port)


def test_probes_ask_for_the_model_but_load_alone_kills_no_server():
    for name in ("startupProbe", "readinessProbe"):
        assert container()[name]["httpGet"] == {"path": MODEL_PATH, "port": "rest"}
    alive = container()["livenessProbe"]
    assert alive["tcpSocket"] == {"port": "grpc"}
    slowest = container()["startupProbe"]["periodSeconds"] * container()["startupProbe"]["failureThreshold"]
    assert slowest == 600


def test_a_pod_that_ends_has_time_for_its_last_requests():
    (program, seconds) = container()["lifecycle"]["preStop"]["exec"]["command"]
    options, _ = parse_flags(container()["args"])
    assert program == "/bin/sleep"
    assert (
        options.rest_api_timeout_in_ms / 1000 < int(seconds) < pod()["spec"]["terminationGracePeriodSeconds"]
    )


def test_what_is_mounted_is_there():
    objects = documents("kubernetes")
    volumes = {volume["name"]: volume for volume in pod()["spec"]["volumes"]}
    mounts = {mount["name"]: mount["mountPath"] for mount in container()["volumeMounts"]}
    options, _ = parse_flags(container()["args"])
    assert volumes.keys() == mounts.keys()
    assert volumes["settings"]["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]
    claim = objects["PersistentVolumeClaim"]["metadata"]["name"]
    assert volumes["versions"]["persistentVolumeClaim"]["claimName"] == claim
    assert mounts["versions"] == options.model_base_path
    for path in (options.batching_parameters_file, options.monitoring_config_file):
        folder, _, name = path.rpartition("/")
        assert folder == mounts["settings"]
        assert name in objects["ConfigMap"]["data"]


def test_the_autoscaler_scales_the_deployment_which_sets_no_number_itself():
    objects = documents("kubernetes")
    reference, deployment = (
        objects["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"],
        objects["Deployment"],
    )
    assert reference == {
        "apiVersion": deployment["apiVersion"],
        "kind": "Deployment",
        "name": deployment["metadata"]["name"],
    }
    assert "replicas" not in deployment["spec"]
    (metric,) = objects["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["resource"]["name"] in container()["resources"]["requests"]  # a share of which it is


@pytest.mark.parametrize("of", [container, runtime_container])
def test_containers_are_confined(of):
    context = of()["securityContext"]
    assert context["readOnlyRootFilesystem"] is True
    assert context["allowPrivilegeEscalation"] is False
    assert context["capabilities"] == {"drop": ["ALL"]}
    assert (context | pod()["spec"]["securityContext"])["runAsNonRoot"] is True
    assert of()["resources"]["limits"] == {"cpu": "3", "memory": "1536Mi"}
    assert of()["image"] == "tensorflow/serving:2.20.0"


def test_other_settings_make_new_pods():
    def annotations(**changes):
        target = Target("m", "/m", 0, **{"batching": "", "cpus": 2, "graph_bytes": 0} | changes)
        return documents("kubernetes", target)["Deployment"]["spec"]["template"]["metadata"]["annotations"]

    assert annotations() == annotations()
    assert annotations() != annotations(cpus=3)


def test_the_inference_service_runs_on_its_own_runtime():
    objects = documents("kserve")
    runtime, model = objects["ServingRuntime"], objects["InferenceService"]["spec"]["predictor"]["model"]
    assert model["runtime"] == runtime["metadata"]["name"]
    assert model["modelFormat"].items() <= runtime["spec"]["supportedModelFormats"][0].items()
    assert model["protocolVersion"] in runtime["spec"]["protocolVersions"]
    assert model["storageUri"] == "pvc://de-en-2-versions/"
    container = runtime_container()
    options, _ = parse_flags(container["args"])
    assert container["name"] == "kserve-container"  # KServe puts the model into the one of this name
    assert options.model_base_path == "/mnt/models"  # and there
    assert [port["containerPort"] for port in container["ports"]] == [options.rest_api_port]
    assert container["readinessProbe"]["httpGet"] == {"path": MODEL_PATH, "port": options.rest_api_port}
    settings = {volume["name"]: volume for volume in runtime["spec"]["volumes"]}["settings"]
    assert settings["configMap"]["name"] == objects["ConfigMap"]["metadata"]["name"]


def test_an_address_of_the_versions_of_ones_own():
    target = Target("m", "/m", 0, "", storage_uri="s3://bucket/m", graph_bytes=0)
    spec = documents("kserve", target)["InferenceService"]["spec"]
    assert spec["predictor"]["model"]["storageUri"] == "s3://bucket/m"


def test_compose_mounts_the_base_path_and_the_settings():
    compose, files = documents("compose"), deployment_files("compose", TARGET)
    service = compose["services"]["model-server"]
    options, _ = parse_flags(service["command"])
    (volume,) = service["volumes"]
    assert volume["source"] == "/srv/mo$$dels/De_en.2"  # Compose makes one of two
    assert (volume["target"], volume["read_only"]) == (options.model_base_path, True)
    mounted = {
        config["target"]: compose["configs"][config["source"]]["file"] for config in service["configs"]
    }
    for path in (options.batching_parameters_file, options.monitoring_config_file):
        assert mounted[path].removeprefix("./") in files
    assert service["ports"] == [f"{port}:{port}" for port in (options.port, options.rest_api_port)]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["deploy"]["resources"]["limits"] == {"cpus": "3", "memory": "1536M"}


def test_the_kubernetes_client_knows_every_field():
    """Its classes are made of the API's own description and take no field that is not there."""
    client = pytest.importorskip("kubernetes", "37", reason="it knows the fields of every object").client
    objects = documents("kubernetes")
    for name, document in objects.items():
        known = getattr(client, f"V2{name}" if name == "HorizontalPodAutoscaler" else f"V1{name}")
        known.model_validate(document)
    container = objects["Deployment"]["spec"]["template"]["spec"]["containers"][0]
    container["livenessProbe"]["noSuchField"] = 3
    with pytest.raises(ValueError, match="noSuchField"):
        client.V1Deployment.model_validate(objects["Deployment"])
