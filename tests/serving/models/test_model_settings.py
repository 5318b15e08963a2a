from __future__ import annotations

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from keras_attn.serving.errors import Code, ServingError
from keras_attn.serving.models.model_settings import ModelSettings, check_models, settings_of
from keras_attn.serving.models.version_policy import AllVersions, LatestVersions, SpecificVersions


def parse(text):
    return settings_of(text_format.Parse(text, model_server_config_pb2.ModelServerConfig()))


def one(text):
    (model,) = parse(f'model_config_list {{ config {{ name: "m" base_path: "/m" {text} }} }}')
    return model


PLATFORM = 'model_platform: "tensorflow" '


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("", LatestVersions(1)),
        ("model_version_policy { latest {} }", LatestVersions(1)),
        ("model_version_policy { latest { num_versions: 3 } }", LatestVersions(3)),
        ("model_version_policy { all {} }", AllVersions()),
        (
            "model_version_policy { specific { versions: 2 versions: 5 } }",
            SpecificVersions(frozenset({2, 5})),
        ),
    ],
)
def test_policies(text, policy):
    assert one(PLATFORM + text) == ModelSettings("m", "/m", policy)


def test_labels():
    model = one(PLATFORM + 'version_labels { key: "stable" value: 3 }')
    assert model.labels == {"stable": 3}


def test_an_empty_config_lists_nothing():
    assert parse("") == []


def test_the_deprecated_type():
    assert one("model_type: TENSORFLOW").platform == "tensorflow"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (PLATFORM + "model_type: TENSORFLOW", "Illegal setting both ModelServerConfig::model_type"),
        ("", "Illegal setting neither ModelServerConfig::model_type"),
        ("model_type: OTHER", "model_type choice OTHER is not supported"),
    ],
)
def test_platforms_that_are_set_wrongly(text, message):
    with pytest.raises(ServingError, match=message) as caught:
        one(text)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_custom_configurations():
    with pytest.raises(ServingError, match="custom_model_config is not supported"):
        parse("custom_model_config {}")


A = ModelSettings("a", "/a")


@pytest.mark.parametrize(
    ("models", "running", "message"),
    [
        ([A, A], {}, "Illegal to list model a multiple times in config list"),
        (
            [ModelSettings("a", "b")],
            {},
            r"Expected model a to have an absolute path or URI; got base_path\(\)=b",
        ),
        ([ModelSettings("a", "/a", platform="p")], {}, "Model a requests unsupported platform p"),
        (
            [ModelSettings("a", "/a", platform="p")],
            {"a": A},
            "Illegal to change a model's platform. For model a platform was tensorflow and new platform"
            " requested is p",
        ),
    ],
)
def test_lists_that_cannot_be_served(models, running, message):
    with pytest.raises(ServingError, match=message) as caught:
        check_models(models, running)
    assert caught.value.code is Code.INVALID_ARGUMENT


def test_lists_that_can_be_served():
    check_models([A, ModelSettings("b", "gs://bucket/b")], {"a": A})
