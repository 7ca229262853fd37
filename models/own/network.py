"""A user's own network: in one file (.pt2, .keras, .h5), or Python code with its weights beside it."""

import ast
import importlib.util
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from models import checkpoints, networks
from models.common import files, provenance
from models.common.errors import DataError
from models.frameworks import FRAMEWORKS
from models.images import LabelledImages, network_input
from models.own.data import OwnData
from models.spec import Framework

PACKAGES = ("site-packages", "node_modules", "__pycache__")
WEIGHTS = {"torch": (".safetensors", ".pt", ".pth"), "keras": (".weights.h5", ".safetensors")}  # beside Python code
WHOLE = (".pt2", ".keras", ".h5")  # which hold the network, too


class OwnNetwork:
    """A network of the user's folder; no code of the user's runs unless the network is a Python file."""

    modules = ("models.own.network", "models.frameworks._exported", "models.frameworks._layers")
    stated: Mapping[str, int] = {}  # figures are found, not written down

    def __init__(self, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.file = networks.file(name)
        self.framework: Framework = networks.framework(name)
        self.suffix = self.file.suffix if self.file.suffix in WHOLE else ".safetensors"

    @cached_property
    def weights_file(self) -> Path:
        """The file that holds the weights; raises DataError where there is none."""
        if self.file.suffix in WHOLE:
            return self.file
        candidates = [self.folder / f"{self.name}{suffix}" for suffix in WEIGHTS[self.framework]]
        for path in candidates:
            if path.exists():
                return path
        msg = f"{self.file} has no weights beside it. Save them as one of: {', '.join(p.name for p in candidates)}"
        raise DataError(msg)

    def read(self) -> bytes:
        path = self.weights_file
        try:
            return files.read_bytes(path, checkpoints.CHECKPOINT_BYTES)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error

    def network(self, content: bytes, suffix: str = "") -> Any:
        from safetensors import SafetensorError

        suffix = suffix or self.weights_file.name.removeprefix(self.name)  # such as .weights.h5
        framework = FRAMEWORKS[self.framework]
        try:
            if suffix in WHOLE:
                return framework.open_whole(content)
            network = self._module.network()
            shape = (
                {"shape": network_input(self._data.sets[0].images[:1], "hwc").shape[1:]}
                if self.framework == "keras"
                else {}
            )
            return framework.open_weights(network, content, suffix, **shape)
        except (ValueError, RuntimeError, TypeError, KeyError, OSError, SafetensorError) as error:
            why = " ".join(str(error).split())[:400] or type(error).__name__
            where = self.file if suffix in WHOLE else f"{self.file} with {self.weights_file.name}"
            raise DataError(f"{where} cannot be deployed: {why}") from error

    def deployable(self, content: bytes) -> Any:
        network = self.network(content)
        if self.framework != "torch" or self.file.suffix in WHOLE:
            return network
        try:
            images = network_input(self._data.sets[0].images[:2], "chw")
        except ValueError:  # images of another kind than the network's, which Source.layout tells
            return network
        return FRAMEWORKS["torch"].as_layers(network, images)

    @cached_property
    def _module(self) -> ModuleType:
        """The user's Python file, run once; raises DataError with the line at which it fails."""
        spec = importlib.util.spec_from_file_location(f"own_{self.name}", self.file)
        module = importlib.util.module_from_spec(spec)
        sys.path.insert(0, str(self.folder))  # it may import what lies beside it
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # the user's code raises anything
            raise DataError(f"{self.file} cannot be run: {type(error).__name__}: {error}") from error
        finally:
            sys.path.remove(str(self.folder))
        return module

    @cached_property
    def _data(self) -> OwnData:
        return OwnData(self.folder, self.name)

    def evaluation(self) -> tuple[LabelledImages, ...]:
        return self._data.sets

    def calibration(self) -> tuple[np.ndarray, str]:
        if self._data.calibration is not None:
            return self._data.calibration, ""
        if self._data.training is not None:
            return self._data.training.images, ""
        note = f"calibrated on the images that it is judged on: {self._data.file.name} holds no calibration_images"
        return self._data.sets[0].images, note

    @property
    def data_place(self) -> str:
        return str(self._data.file)

    @property
    def data_notes(self) -> tuple[str, ...]:
        """Notes on arrays of the data file that are ignored, converted or shuffled."""
        held = {
            "mean nothing here": self._data.unread,
            "are taken as float32": self._data.narrowed,
            "had the images of a class together, and are taken in a random order, always the same": self._data.grouped,
        }
        return tuple(f"{self._data.file}: {', '.join(names)} {meaning}" for meaning, names in held.items() if names)

    @property
    def data_sha256(self) -> str:
        """Digest of the file with the images, and of the names of the classes."""
        from models.own import settings

        return provenance.digest(files.sha256(self._data.file), settings.load(self.folder).labels_of(self.name))

    def training(self) -> LabelledImages | None:
        return self._data.training

    def labels(self, classes: int) -> tuple[str, ...]:
        from models.own import settings

        names = settings.load(self.folder).labels_of(self.name) or self._data.class_names or self._labels_of_code()
        if names and len(names) != classes:
            msg = f"{self.name} has {classes} classes, and {len(names)} names for them: {', '.join(names[:5])}... Give one for each."
            raise DataError(msg)
        return names or tuple(map(str, range(classes)))

    def _labels_of_code(self) -> tuple[str, ...]:
        """Return LABELS of a Python file, which is not run for it."""
        if self.file.suffix != ".py":
            return ()
        for node in ast.parse(self.file.read_bytes()).body:
            if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "LABELS" for t in node.targets):
                try:
                    return tuple(map(str, ast.literal_eval(node.value)))
                except (ValueError, TypeError) as error:
                    raise DataError(f"LABELS of {self.file} is no list of texts that is written out.") from error
        return ()

    def code(self) -> tuple[Path, ...]:
        if self.file.suffix != ".py":
            return ()
        below = {file: file.relative_to(self.folder).parts for file in self.folder.rglob("*.py")}
        # an environment that lies there is no code of the network's
        foreign = {file for file, parts in below.items() if any(p.startswith(".") or p in PACKAGES for p in parts)}
        return tuple(sorted(below.keys() - foreign))
