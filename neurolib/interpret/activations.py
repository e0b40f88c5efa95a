"""Read and change a model while it runs: inputs in, values at named sites ``(batch, ..., channel)`` out.

Works on any ``nn.Module``, whatever it takes: hooks sit on its submodules and are gone when the run is over.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from neurolib.models.sites import Site, sites_of

Inputs = Any  # a tensor, a tuple of arguments, a mapping, or what `run` understands
Run = Callable[[nn.Module, Inputs], Any]
Index = Mapping[str | int, int | slice | Sequence[int] | Tensor]
Change = Tensor | Callable[[Tensor], Tensor]


def call(model: nn.Module, inputs: Inputs) -> Any:
    """Run a model: a tuple is its arguments, anything else is its one argument.

    Examples
    --------
    >>> call(nn.Bilinear(1, 1, 1), (torch.ones(2, 1), torch.ones(2, 1))).shape
    torch.Size([2, 1])
    """
    return model(*inputs) if isinstance(inputs, tuple) else model(inputs)


@dataclass
class Activations:
    """What a run left at the sites of a model.

    Attributes
    ----------
    values : dict of str to Tensor
    axes : dict of str to tuple of str
        Names of the axes of each value; ``axis0``, ``axis1`` and so on where the site has none.
    output : object
        What the model gave.
    """

    values: dict[str, Tensor]
    axes: dict[str, tuple[str, ...]]
    output: Any = None

    def __getitem__(self, name: str) -> Tensor:
        if name not in self.values:
            raise KeyError(f"no site {name!r} was recorded; there are {', '.join(self.values)}")
        return self.values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values)

    def __len__(self) -> int:
        return len(self.values)

    def gradient(self, name: str) -> Tensor:
        """Gradient of what ``backward`` was called on, with respect to a value recorded with ``gradients=True``.

        Zero if what was differentiated does not depend on the site.
        """
        value = self[name]
        if not value.requires_grad:
            raise ValueError(f"site {name!r} was recorded without gradients; use record(..., gradients=True)")
        return torch.zeros_like(value) if value.grad is None else value.grad

    def samples(self, name: str, mask: Tensor | None = None) -> Tensor:
        """Values as a table ``(n, channel)``, all axes but the last in one.

        Parameters
        ----------
        name : str
        mask : Tensor of bool, optional
            Over the leading axes; False leaves a sample out, such as a bin that only fills a short trial.

        Examples
        --------
        >>> acts = Activations({"x": torch.arange(12.0).view(2, 3, 2)}, {"x": ("batch", "time", "channel")})
        >>> acts.samples("x", torch.tensor([[True, False, False], [True, True, False]])).tolist()
        [[0.0, 1.0], [6.0, 7.0], [8.0, 9.0]]
        """
        value = self[name]
        if mask is None:
            return value.flatten(0, -2)
        if mask.shape != value.shape[: mask.dim()] or mask.dim() >= value.dim():
            raise ValueError(
                f"mask {tuple(mask.shape)} does not fit the leading axes of site {name!r} {tuple(value.shape)}"
            )
        return value[mask.bool()].flatten(0, -2)


def record(
    model: nn.Module,
    inputs: Inputs,
    sites: Iterable[str | Site] | None = None,
    *,
    gradients: bool = False,
    run: Run = call,
) -> Activations:
    """Run a model once and keep what passes its sites.

    Parameters
    ----------
    model : nn.Module
        Put in evaluation mode meanwhile.
    inputs : Tensor, mapping or tuple
    sites : iterable of str or Site, optional
        Names of declared sites, paths of modules, or sites; all that the model declares by default.
    gradients : bool
        Keep the graph, so that :meth:`Activations.gradient` works after ``backward``; values are live then.
    run : callable
        ``run(model, inputs)``, for a model that is called in some other way.

    Returns
    -------
    Activations

    Raises
    ------
    RuntimeError
        If a site was passed never, or more than once without saying which call is meant.
    ValueError
        If a site is unknown, or its value is no tensor or has other axes than declared.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    >>> acts = record(model, torch.ones(4, 2), ["1"])
    >>> acts["1"].shape, bool((acts["1"] == acts.output).all())
    (torch.Size([4, 3]), True)
    """
    chosen = _resolve(model, sites)
    values: dict[str, Tensor] = {}

    def reader(site: Site):
        def keep(value: Tensor) -> None:
            if gradients and value.is_floating_point():
                if not value.requires_grad:
                    value = value.detach().requires_grad_()  # nothing before it is trained
                    values[site.name] = value
                    return value
                value.retain_grad()
                values[site.name] = value
            else:
                values[site.name] = value.detach().clone()  # what follows may work in place
            return None

        return keep

    with evaluating(model), _hooked(model, [(site, reader(site)) for site in chosen]):
        with torch.set_grad_enabled(gradients):
            output = run(model, inputs)
    axes = {site.name: _axes(site, values[site.name]) for site in chosen}
    return Activations({site.name: values[site.name] for site in chosen}, axes, output)


@dataclass(frozen=True)
class Patch:
    """A change at one site.

    Parameters
    ----------
    site : str or Site
    value : Tensor or callable
        What takes the place of the value, of a shape that broadcasts to the indexed part; or a function from
        that part to the new one.
    index : dict of str or int, optional
        Which part, by the name or number of axes: ``{"channel": [3, 5], "time": slice(2, 4)}``. Lists on
        several axes mean all their combinations.
    """

    site: str | Site
    value: Change
    index: Index = field(default_factory=dict)


@contextmanager
def patch(model: nn.Module, changes: Mapping[str, Change] | Iterable[Patch]) -> Iterator[nn.Module]:
    """Change values at sites of a model while the block runs; the model is in evaluation mode.

    Several patches of one site are made in their order. Gradients flow through what is put in.

    Raises
    ------
    RuntimeError
        On leaving, if a patch never took effect.
    ValueError
        If a site is unknown, or a value does not fit it.

    Examples
    --------
    >>> model = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 1, bias=False))
    >>> with patch(model, {"0": torch.zeros(4, 3)}):
    ...     model(torch.ones(4, 2)).flatten().tolist()
    [0.0, 0.0, 0.0, 0.0]
    """
    if isinstance(changes, Mapping):
        changes = [Patch(name, value) for name, value in changes.items()]
    changes = list(changes)
    chosen = _resolve(model, [change.site for change in changes])
    pairs = [(site, _writer(site, change)) for site, change in zip(chosen, changes, strict=True)]
    with evaluating(model), _hooked(model, pairs):
        yield model


def _writer(site: Site, change: Patch) -> Callable[[Tensor], Tensor]:
    def put(value: Tensor) -> Tensor:
        where = _indices(site, change.index, value)
        part = value[where]
        new = change.value(part) if callable(change.value) else change.value
        if not isinstance(new, Tensor):
            raise ValueError(f"the patch of site {site.name!r} gave a {type(new).__name__}, not a tensor")
        new = new.to(value)
        try:
            new = new.expand_as(part)
        except RuntimeError:
            raise ValueError(
                f"a patch of shape {tuple(new.shape)} does not fit {tuple(part.shape)} of {site.described}"
                "; are batch and time those of this run?"
            ) from None
        if not change.index:
            return new.contiguous()
        if torch.is_grad_enabled() and (new.requires_grad or value.requires_grad):
            return value.index_put(_grid(where, value), new)
        changed = value.clone()
        changed[where] = new
        return changed

    return put


def _indices(site: Site, index: Index, value: Tensor) -> tuple:
    """What to index a value with; lists on several axes are crossed."""
    axes, where = _axes(site, value), [slice(None)] * value.dim()
    lists = []
    for name, at in index.items():
        number = name if isinstance(name, int) else axes.index(name) if name in axes else None
        if number is None or not -value.dim() <= number < value.dim():
            raise ValueError(f"no axis {name!r} at {site.described}; there are {', '.join(axes)}")
        number %= value.dim()
        size = value.shape[number]
        if isinstance(at, int):
            at = [at]
        if not isinstance(at, slice):
            at = torch.as_tensor(at, device=value.device)
            if at.dtype == torch.bool:
                at = at.nonzero().flatten()
            at = at.long()
            if len(at) and not (-size <= int(at.min()) and int(at.max()) < size):
                raise ValueError(
                    f"index {int(at.max())} is outside axis {axes[number]!r} of {size} at {site.described}"
                )
            lists.append(number)
        where[number] = at
    if len(lists) > 1:  # cross them, and keep the axes where they are
        for number, at in enumerate(where):
            if isinstance(at, slice):
                where[number] = torch.arange(value.shape[number], device=value.device)[at]
        shape = len(where)
        where = [at.view([-1 if i == k else 1 for k in range(shape)]) for i, at in enumerate(where)]
    return tuple(where)


def _grid(where: tuple, value: Tensor) -> tuple[Tensor, ...]:
    """The same places as tensors alone, in the order of the part, as ``index_put`` needs them."""
    lists = [
        torch.arange(size, device=value.device)[at] if isinstance(at, slice) else at.flatten()
        for at, size in zip(where, value.shape, strict=True)
    ]
    return tuple(at.view([-1 if i == k else 1 for k in range(len(lists))]) for i, at in enumerate(lists))


def _resolve(model: nn.Module, sites: Iterable[str | Site] | None) -> list[Site]:
    if sites is None:
        return list(sites_of(model).values())
    if isinstance(sites, str | Site):
        sites = [sites]
    declared, paths, found = None, None, []
    for site in sites:
        if isinstance(site, str):
            declared = sites_of(model) if declared is None else declared
            paths = {path for path, _ in model.named_modules()} if paths is None else paths
            if site not in declared and site not in paths:
                raise ValueError(
                    f"{type(model).__name__} has no site {site!r}; it has {', '.join(declared) or 'none'}, "
                    "and the paths of its modules"
                )
            site = declared.get(site) or Site(site)
        else:
            try:
                model.get_submodule(site.module)
            except AttributeError:
                raise ValueError(f"{type(model).__name__} has no module for site {site.described}") from None
        found.append(site)
    return found


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """A model in evaluation mode, and no fused paths that would pass by hooks; both restored."""
    modes = {module: module.training for module in model.modules()}
    fused = torch.backends.mha.get_fastpath_enabled()
    model.eval()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def _hooked(
    model: nn.Module, pairs: Sequence[tuple[Site, Callable[[Tensor], Tensor | None]]]
) -> Iterator[None]:
    """Call functions with the values of sites; what they return, unless None, takes the place of the value."""
    calls, ever = [0] * len(pairs), [0] * len(pairs)  # in this run of the model, and in all
    handles = []

    def start(*_) -> None:
        calls[:] = [0] * len(pairs)

    def hook_of(number: int, site: Site, act: Callable):
        def seen(value: Any) -> Any:
            this, calls[number] = calls[number], calls[number] + 1
            if site.call is not None and this != site.call:
                return None
            ever[number] += 1
            if this and site.call is None:
                raise RuntimeError(
                    f"{site.described} was passed more than once in a run; say which with Site(..., call=0)"
                )
            return _replaced(site, value, act)

        if site.side == "output":
            return lambda module, args, output: seen(output)
        return lambda module, args, kwargs: _arguments(site, args, kwargs, seen)

    try:
        handles.append(model.register_forward_pre_hook(start))
        for number, (site, act) in enumerate(pairs):
            module = model.get_submodule(site.module)
            if site.side == "output":
                handles.append(module.register_forward_hook(hook_of(number, site, act)))
            else:
                handles.append(module.register_forward_pre_hook(hook_of(number, site, act), with_kwargs=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
    for (site, _), times, count in zip(pairs, ever, calls, strict=True):
        if not times:
            why = (
                f"it was passed {count} time(s), and call={site.call} was asked for"
                if count
                else "the run did not pass it; is it fused or compiled?"
            )
            raise RuntimeError(f"nothing was read or changed at {site.described}: {why}")


def _replaced(site: Site, value: Any, act: Callable) -> Any:
    """A value with the part that the site means replaced by what ``act`` makes of it, or None for no change."""
    part = value
    if isinstance(value, tuple | list | Mapping):
        key = site.pick if site.pick is not None else 0 if not isinstance(value, Mapping) else None
        try:
            part = value[key]
        except (KeyError, IndexError, TypeError):
            known = list(value) if isinstance(value, Mapping) else f"{len(value)} parts"
            raise ValueError(f"{site.described} gives {known}; pick={site.pick!r} is none of them") from None
    elif site.pick is not None:
        raise ValueError(f"{site.described} gives one value, so pick={site.pick!r} means nothing")
    if not isinstance(part, Tensor):
        raise ValueError(f"{site.described} gives a {type(part).__name__}, not a tensor; set pick")
    if site.axes and part.dim() != len(site.axes):
        raise ValueError(f"{site.described} gave a value of shape {tuple(part.shape)}")
    new = act(part)
    if new is None:
        return None
    if part is value:
        return new
    if isinstance(value, Mapping):
        return {**value, key: new}
    parts = [new if number == key % len(value) else old for number, old in enumerate(value)]
    return type(value)(*parts) if hasattr(value, "_fields") else type(value)(parts)


def _arguments(site: Site, args: tuple, kwargs: dict, seen: Callable) -> tuple[tuple, dict] | None:
    """What a module is called with, changed."""
    if isinstance(site.pick, str):
        new = seen(kwargs)
        return None if new is None else (args, new)
    new = seen(args)
    return None if new is None else (new, kwargs)


def _axes(site: Site, value: Tensor) -> tuple[str, ...]:
    return site.axes or tuple(f"axis{number}" for number in range(value.dim()))
