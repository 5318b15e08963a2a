"""Asks exports of all families in TensorFlow of several versions: `make test-servers`.

What TensorFlow Serving does to answer is in these libraries: the C++ loader, the kernels and a Session. The
exports, the answers of each version, `result.json` and `result.md` are in `build/servers` afterwards.
"""

import argparse
import json
import os
import pickle
import platform
import shutil
import subprocess
import sys
from datetime import date
from importlib import metadata
from pathlib import Path

from comparing import problems_of
from environments import ENVIRONMENTS, NotInstallableError, python_of
from features import features_since

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
    reference = answers_of(sys.executable, exports, FOLDER / "reference", names, "1")
    registries, results = {}, {}
    for version, python, reason in [*_pythons(arguments.version), (_own_version(), sys.executable, None)]:
        for way, flag in ONE_DNN.items():
            if reason is None:
                folder = FOLDER / f"{version}-{flag}"
                answers = answers_of(python, exports, folder, names, flag)
                registries[version] = json.loads((folder / "ops.json").read_text())
                outcome = {
                    name: problems_of(exports / name, reference[name], answers[name]) for name in names
                }
            else:
                outcome = reason
            results[f"{version}, {way}"] = outcome
            print(_row(version, way, outcome), flush=True)
    _write(results, registries, names)
    return any(not isinstance(x, str) and any(x.values()) for x in results.values())


def answers_of(python, exports, folder, names, one_dnn):
    """What a version answers: by the export's name a list of dictionaries of arrays, or a sentence."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    environment = os.environ | {"TF_ENABLE_ONEDNN_OPTS": one_dnn, "TF_CPP_MIN_LOG_LEVEL": "2"}
    environment["CUDA_VISIBLE_DEVICES"] = "-1"
    rest = list(names)
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
    parser.add_argument("--keep", action="store_true", help="ask the exports that are there already")
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


def _own_version():
    return ".".join(metadata.version("tensorflow").split(".")[:2])


def _row(version, way, outcome):
    if isinstance(outcome, str):
        return f"| {version} | {way} | not tested: {outcome} |"
    wrong = {name: problems for name, problems in outcome.items() if problems}
    lines = [f"{name}: {problems[0]}" for name, problems in wrong.items()]
    verdict = "; ".join(lines) or "the same"
    return f"| {version} | {way} | {len(outcome) - len(wrong)} of {len(outcome)}: {verdict} |"


def _write(results, registries, names):
    rows = [_row(*key.split(", "), outcome) for key, outcome in results.items()]
    head = ["| TensorFlow | | exports with the same answers |", "| --- | --- | --- |"]
    (FOLDER / "result.md").write_text("\n".join([*head, *rows]) + "\n")
    record = {
        "date": date.today().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}",
        "exports": names,
        "results": results,
        "features": features_since(registries),
    }
    (FOLDER / "result.json").write_text(json.dumps(record, indent=1) + "\n")


def _call(command):
    subprocess.run(command, check=True, env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"})


if __name__ == "__main__":
    sys.exit(main())
