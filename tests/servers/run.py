"""Asks exports of all families in TensorFlow of several versions: `make test-servers`.

What TensorFlow Serving does to answer is in these libraries: the C++ loader, the kernels and a Session. The
exports, the answers of each version and `tried.json` are in `build/servers` afterwards; beside this file lies
the last `tried.json` of all versions.
"""

import argparse
import json
import os
import pickle
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

from comparing import problems_of
from environments import ENVIRONMENTS, NotInstallableError, python_of
from features import features_since, unknown_features

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
FOLDER = ROOT / "build" / "servers"
# What the variable is set to, by what it is called here.
ONE_DNN = {"oneDNN": "1", "no oneDNN": "0"}


def main():
    arguments = _arguments()
    exports = FOLDER / "exports"
    if not arguments.keep:
        shutil.rmtree(FOLDER, ignore_errors=True)
        _call([sys.executable, HERE / "exports.py", exports])
    names = sorted(path.name for path in exports.iterdir())
    own = ".".join(metadata.version("tensorflow").split(".")[:2])
    references = {
        way: answers_of(sys.executable, exports, own, way, _compared_with(names, way)) for way in ONE_DNN
    }
    registries, verdicts = {}, {}
    for version, python, reason in [*_pythons(arguments.version), (own, sys.executable, None)]:
        for way in ONE_DNN:
            if reason is None:
                answers = answers_of(python, exports, version, way, names)
                registries[version] = json.loads((_folder(version, way) / "ops.json").read_text())
                verdict = _verdict(exports, _expected(references, way), answers, registries[version])
            else:
                verdict = f"not tested: {reason}"
            verdicts[f"{version}, {way}"] = verdict
            print(f"| {version} | {way} | {verdict} |", flush=True)
    _write(names, verdicts, registries)
    return any(verdict.startswith("DIFFERENT") for verdict in verdicts.values())


def answers_of(python, exports, version, way, names):
    """What a version answers: by the export's name a list of dictionaries of arrays, or a sentence.

    Answers that are there are not asked for again.
    """
    folder = _folder(version, way)
    folder.mkdir(exist_ok=True)
    settings = {
        "TF_ENABLE_ONEDNN_OPTS": ONE_DNN[way],
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "CUDA_VISIBLE_DEVICES": "-1",
    }
    environment = os.environ | settings
    rest = [name for name in names if not (folder / name).exists()]
    while rest:
        command = [python, HERE / "client.py", exports, folder, *rest]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        rest = [name for name in rest if not (folder / name).exists()]
        if rest:  # the first of them ended the process
            sentence = f"The process ended with {done.returncode}: {done.stderr[-1000:]}"
            (folder / rest[0]).write_bytes(pickle.dumps(sentence))
    return {name: pickle.loads((folder / name).read_bytes()) for name in names}


def _arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    versions = [environment.version for environment in ENVIRONMENTS]
    parser.add_argument("--version", action="append", choices=versions, help="may be repeated")
    parser.add_argument("--keep", action="store_true", help="go on where the last run ended")
    return parser.parse_args()


def _pythons(versions):
    """(version, Python, None), or (version, None, why it is not tested)."""
    for environment in ENVIRONMENTS:
        if versions and environment.version not in versions:
            continue
        try:
            python, reason = python_of(environment, ROOT / ".venv" / "servers"), None
        except NotInstallableError as error:
            python, reason = None, str(error)
        yield environment.version, python, reason


def _compared_with(names, way):
    """The exports whose answers of this version, in one way, are what others are compared with.

    With oneDNN, those of all; without it bfloat16 alone, which rounds otherwise then.
    """
    return [name for name in names if way == "oneDNN" or "bfloat16" in name]


def _expected(references, way):
    return references["oneDNN"] | references[way]


def _folder(version, way):
    return FOLDER / f"{version} {way}"


def _verdict(exports, reference, answers, ops):
    """One sentence on all exports; it names the first problem of each that has any."""
    lines = []
    for name, expected in reference.items():
        unknown = [f"the version knows no {x}" for x in unknown_features(exports / name / "1", ops)]
        problems = unknown + problems_of(exports / name, expected, answers[name])
        lines += [f"{name}: {problems[0]}"] if problems else []
    return f"DIFFERENT: {'; '.join(lines)}" if lines else "the same"


def _write(names, verdicts, registries):
    tried = {"exports": names, "verdicts": verdicts, "features": features_since(registries)}
    (FOLDER / "tried.json").write_text(json.dumps(tried, indent=1) + "\n")


def _call(command):
    subprocess.run(command, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"})


if __name__ == "__main__":
    sys.exit(main())
