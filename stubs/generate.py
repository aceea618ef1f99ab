"""Writes stubs/fabric_protos from the descriptors inside the installed hyperledger-fabric-protos."""

from __future__ import annotations

import importlib
import pkgutil
import re
import shutil
import sys
import tempfile
from pathlib import Path

import fabric_protos
from google.protobuf.descriptor import FileDescriptor
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

UNUSED = (
    "transientstore/",
    "orderer/cluster",
    "peer/snapshot",
    "peer/resources",
    "peer/signed_cc",
)
OWN_IMPORT = re.compile(r"^from (common|gateway|gossip|ledger|msp|orderer|peer)(?=[. ])", re.MULTILINE)


def main() -> int:
    target = Path(__file__).parent / "fabric_protos"
    files: dict[str, FileDescriptor] = {}
    for module in pkgutil.walk_packages(fabric_protos.__path__, "fabric_protos."):
        if module.name.endswith("_pb2"):
            _with_dependencies(importlib.import_module(module.name).DESCRIPTOR, files)
    with tempfile.TemporaryDirectory() as scratch:
        status = _run_protoc(files, Path(scratch))
        if status == 0:
            shutil.rmtree(target, ignore_errors=True)
            _copy_stubs(Path(scratch), target)
    return status


def _with_dependencies(file: FileDescriptor, files: dict[str, FileDescriptor]) -> None:
    """protoc wants a file after those it imports; a dict keeps the order in which they went in."""
    if file.name in files:
        return
    for dependency in file.dependencies:
        _with_dependencies(dependency, files)
    files[file.name] = file


def _run_protoc(files: dict[str, FileDescriptor], out: Path) -> int:
    descriptors = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(descriptors.file.add())
    (out / "descriptors.bin").write_bytes(descriptors.SerializeToString())
    names = [name for name in files if not name.startswith(("google/", *UNUSED))]
    arguments = ["protoc", f"--descriptor_set_in={out}/descriptors.bin", f"--pyi_out={out}", *names]
    return int(protoc.main(arguments))


def _copy_stubs(made: Path, target: Path) -> None:
    """Fabric's files import each other without the package's name; protoc gives Mapping no arguments."""
    for stub in sorted(made.rglob("*.pyi")):
        copy = target / stub.relative_to(made)
        copy.parent.mkdir(parents=True, exist_ok=True)
        text = OWN_IMPORT.sub(r"from fabric_protos.\1", stub.read_text())
        copy.write_text(text.replace("_Mapping]", "_Mapping[str, object]]"))
        for folder in copy.relative_to(target).parents:
            (target / folder / "__init__.pyi").touch()


if __name__ == "__main__":
    sys.exit(main())
