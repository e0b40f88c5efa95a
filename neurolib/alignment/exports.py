"""What other programs read: results and layers in; JSON, NumPy, HDF5, MATLAB, RSA toolbox and NetCDF out.

Every file is written beside its place and moved there when it is whole.
"""

import json
import math
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from neurolib.alignment.captures import Capture, NeuralData
from neurolib.alignment.results import Result, Results

if TYPE_CHECKING:
    import rsatoolbox

SCHEMA = 1
INLINE = 100_000  # entries of an array that still stands in the JSON itself
ARRAYS = ("values", "low", "high", "chance")
TEXTS = ("model", "metric", "against", "unit")


def to_json(results: Results, arrays: dict[str, NDArray] | None = None) -> str:
    """Results as strict JSON: what is not finite is ``null``, what was not measured is left out.

    Parameters
    ----------
    results : Results
    arrays : dict, optional
        Filled with arrays of more than 100,000 entries, which the text then names; without it they are written out.

    Examples
    --------
    >>> print(to_json(Results([Result("net", "cka", float("nan"), n=92)])))
    {"schema_version": 1, "results": [{"model": "net", "metric": "cka", "dims": [], "coords": {}, "n": 92, "params": {}, "warnings": [], "provenance": {}, "values": null}]}
    """
    return json.dumps(
        {"schema_version": SCHEMA, "results": [_row(i, result, arrays) for i, result in enumerate(results)]},
        allow_nan=False,
    )


def from_json(text: str, arrays: Mapping[str, NDArray] | None = None) -> Results:
    """Results of :func:`to_json`; ``null`` in an array is NaN again.

    Raises
    ------
    ValueError
        If the text is no such JSON, of another version, or names an array that is not there.
    """
    try:
        found = json.loads(text)
        version, rows = found["schema_version"], found["results"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ValueError(
            f"these are no results as JSON ({error}); were they written by another program?"
        ) from None
    if version != SCHEMA:
        raise ValueError(f"results of schema version {version}; this package reads version {SCHEMA}")
    return Results(_result(row, arrays or {}) for row in rows)


def save_results(results: Results, path: Path | str) -> Path:
    """Write results as ``.json`` (with an ``.npz`` beside it for large arrays), ``.npz``, ``.h5`` or ``.mat``.

    Raises
    ------
    ValueError
        If the name ends in something else.
    """
    path = Path(path)
    writers = {".json": _save_json, ".npz": _save_npz, ".h5": _save_hdf5, ".mat": _save_matlab}
    if path.suffix not in writers:
        raise ValueError(
            f"{path}: results are written as {', '.join(writers)}, not {path.suffix or 'without a suffix'}"
        )
    writers[path.suffix](results, path)
    return path


def load_results(path: Path | str) -> Results:
    """Read what :func:`save_results` wrote as ``.json``, ``.npz`` or ``.h5``.

    Raises
    ------
    ValueError, FileNotFoundError
        If there is no such file, or it holds something else.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file")
    if path.suffix == ".json":
        beside = path.with_suffix(".npz")
        with np.load(beside, allow_pickle=False) if beside.exists() else _nothing() as arrays:
            return from_json(path.read_text("utf-8"), arrays)
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            if "results" not in arrays:
                raise ValueError(f"{path}: holds {sorted(arrays)[:3]}, no results")
            return from_json(str(arrays["results"]), arrays)
    if path.suffix == ".h5":
        return _load_hdf5(path)
    raise ValueError(f"{path}: results are read from .json, .npz or .h5; MATLAB files are for MATLAB")


def to_rsatoolbox(
    rdms: Mapping[str, NDArray], stimuli: Iterable[str], measure: str, model: str = ""
) -> "rsatoolbox.rdm.RDMs":
    """Dissimilarities ``(n_pairs,)`` of several layers as an object of the RSA toolbox, where that is installed.

    Parameters
    ----------
    rdms : dict of array, shape (n_pairs,)
        Upper triangles, row by row, by name of layer.
    stimuli : iterable of str
    measure : str
    model : str

    References
    ----------
    .. [1] van den Bosch et al. (2025), "A Python toolbox for representational similarity analysis", eLife.
    """
    try:
        from rsatoolbox.rdm import RDMs
    except ImportError:
        raise ValueError(
            "the RSA toolbox is not installed; `pip install rsatoolbox`, or save the arrays as .npz"
        ) from None
    return RDMs(
        np.stack(list(rdms.values())),
        dissimilarity_measure=measure,
        rdm_descriptors={"layer": list(rdms), "model": [model] * len(rdms)},
        pattern_descriptors={"stim": list(stimuli)},
    )


def save_assembly(source: Capture | NeuralData, path: Path | str, layer: str = "") -> Path:
    """Write responses as the NetCDF assembly that Brain-Score reads, presentation × neuroid.

    Parameters
    ----------
    source : Capture or NeuralData
    path : Path
        Ends in ``.nc``.
    layer : str
        Of a capture.
    """
    import xarray

    path = Path(path)
    if path.suffix != ".nc":
        raise ValueError(f"{path}: an assembly is written as .nc")
    repeats = 1
    if isinstance(source, Capture):
        if layer not in source.layers:
            raise ValueError(f"{source.model} has no layer {layer!r}; it has {', '.join(source.layers)}")
        values, name, about = source.layers[layer], source.model, {"layer": layer}
    else:
        repeats, name = source.n_repeats, source.name
        values = source.responses.reshape(-1, source.responses.shape[-1])
        about = {"region": source.region, "animal": source.name, "species": source.species}
    n = values.shape[1]
    coords = {
        "stimulus_id": ("presentation", list(source.stimuli) * repeats),
        "repetition": ("presentation", np.repeat(np.arange(repeats), len(source.stimuli))),
        "neuroid_id": ("neuroid", [f"{name}.{i}" for i in range(n)]),
    }
    coords |= {key: ("neuroid", [text or "unknown"] * n) for key, text in about.items()}
    table = xarray.DataArray(values, dims=("presentation", "neuroid"), coords=coords, name="assembly")
    with _placed(path) as part:
        table.to_netcdf(part, engine="scipy")
    return path


def _row(number: int, result: Result, arrays: dict[str, NDArray] | None) -> dict[str, Any]:
    row: dict[str, Any] = {name: getattr(result, name) for name in TEXTS if getattr(result, name)}
    row |= {
        "dims": list(result.dims),
        "coords": {axis: _plain(list(names)) for axis, names in result.coords.items()},
    }
    row |= {"n": result.n, "params": _plain(result.params), "warnings": list(result.warnings)}
    row["provenance"] = _plain(result.provenance)
    for name in ARRAYS:
        value = getattr(result, name)
        if value is None:
            continue
        value = np.asarray(value, float)
        if arrays is not None and value.size > INLINE:
            key = f"{number}.{name}"
            arrays[key], row[name] = value, {"array": key}
        else:
            row[name] = _plain(value)
    return row


def _result(row: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> Result:
    settings = dict(row)
    for name in ARRAYS:
        if name not in settings:
            continue
        value = settings[name]
        if isinstance(value, Mapping):
            if value.get("array") not in arrays:
                raise ValueError(
                    f"array {value.get('array')!r} is not beside the JSON; was the .npz left behind?"
                )
            value = arrays[value["array"]]
        settings[name] = np.array(_numbers(value), float)
    if settings.get("chance") is not None and np.ndim(settings["chance"]) == 0:
        settings["chance"] = float(settings["chance"])
    settings["dims"], settings["warnings"] = tuple(settings["dims"]), tuple(settings["warnings"])
    settings["coords"] = {axis: tuple(names) for axis, names in settings["coords"].items()}
    return Result(**settings)


def _plain(value: Any) -> Any:
    """What JSON knows: NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int | bool):
        return value
    return str(value)


def _numbers(value: Any) -> Any:
    if isinstance(value, list):
        return [_numbers(part) for part in value]
    return math.nan if value is None else value


def _save_json(results: Results, path: Path) -> None:
    arrays: dict[str, NDArray] = {}
    text, beside = to_json(results, arrays), path.with_suffix(".npz")
    if arrays:
        with _placed(beside) as part, part.open("wb") as file:
            np.savez_compressed(file, **arrays)
    else:
        beside.unlink(missing_ok=True)  # of an earlier result
    with _placed(path) as part:
        part.write_text(text, "utf-8")


def _save_npz(results: Results, path: Path) -> None:
    arrays: dict[str, NDArray] = {}
    text = to_json(results, arrays)
    with _placed(path) as part, part.open("wb") as file:
        np.savez_compressed(file, results=np.array(text), **arrays)


def _save_hdf5(results: Results, path: Path) -> None:
    import h5py

    with _placed(path) as part, h5py.File(part, "w") as file:
        file.attrs["schema_version"] = SCHEMA
        for number, result in enumerate(results):
            group = file.create_group(f"{number:05d}")
            row = _row(number, result, None)
            for name in ARRAYS:
                if row.pop(name, None) is not None or getattr(result, name) is not None:
                    group[name] = np.asarray(getattr(result, name), float)
            group.attrs["about"] = json.dumps(row, allow_nan=False)


def _load_hdf5(path: Path) -> Results:
    import h5py

    if not h5py.is_hdf5(path):
        raise ValueError(f"{path}: is no HDF5 file; was it renamed, or cut short?")
    with h5py.File(path) as file:
        if file.attrs.get("schema_version") != SCHEMA:
            raise ValueError(f"{path}: is HDF5 of something else, or of another version than {SCHEMA}")
        rows, arrays = [], {}
        for key, group in file.items():
            row = json.loads(group.attrs["about"])
            for name in group:
                arrays[f"{key}.{name}"] = group[name][()]
                row[name] = {"array": f"{key}.{name}"}
            rows.append(row)
        return Results(_result(row, arrays) for row in rows)


def _save_matlab(results: Results, path: Path) -> None:
    """A structure array ``results(i)`` with names as cells of text, for MATLAB has no keys such as ``blocks.0``."""
    from scipy.io import savemat

    names = (*TEXTS, "n", "dims", "coords", *ARRAYS, "warnings", "params", "provenance")
    table = np.empty((1, len(results)), dtype=[(name, object) for name in names])
    for number, result in enumerate(results):
        for name in names:
            table[name][0, number] = _matlab(name, getattr(result, name))
    with _placed(path) as part, part.open("wb") as file:
        savemat(file, {"results": table}, do_compression=True)


def _matlab(name: str, value: Any) -> Any:
    if name == "coords":
        cells = [_cells([str(entry) for entry in names]) for names in value.values()]
        return _cells(cells)
    if name in ("dims", "warnings"):
        return _cells(list(value))
    if name in ("params", "provenance"):
        return json.dumps(_plain(value), allow_nan=False)
    if value is None:
        return np.zeros((0, 0))
    return value if isinstance(value, str) else np.asarray(value, float)


def _cells(entries: list) -> NDArray:
    table = np.empty((len(entries), 1), dtype=object)
    for number, entry in enumerate(entries):
        table[number, 0] = entry
    return table


@contextmanager
def _placed(path: Path) -> Iterator[Path]:
    """A file to write that takes its place when the block ends well, and is gone when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    part = Path(name)
    try:
        yield part
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def _nothing() -> Iterator[dict]:
    yield {}
