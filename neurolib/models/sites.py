"""Sites of a model: named places with named axes, ``(batch, time, ..., channel)``, that can be read and changed.

A model says what its sites are; what is done with them is the business of :mod:`neurolib.interpret`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from torch import Tensor, nn


class Tap(nn.Identity):
    """A value inside a module made visible: it passes unchanged through a submodule that hooks can find.

    Taps have no parameters, so a state dict does not know of them.

    Examples
    --------
    >>> import torch
    >>> Tap()(torch.ones(2)).tolist(), list(Tap().state_dict())
    ([1.0, 1.0], [])
    """

    def forward(self, x: Tensor) -> Tensor:
        """Give back what comes in."""
        return x


@dataclass(frozen=True)
class Site:
    """A place in a model.

    Parameters
    ----------
    name : str
        What it is called in results.
    module : str
        Path of the submodule, as in ``model.get_submodule``; the name by default, empty for the model itself.
    axes : tuple of str
        Names of the axes of the value, the first ``"batch"``, the last usually ``"channel"``; empty if unknown.
    side : {"output", "input"}
        What the module gives, or what it gets.
    pick : int or str, optional
        Which part of a tuple or dict, or which argument; the first by default.
    call : int, optional
        Which call in one run of the model; needed for a module that is called more than once.

    Examples
    --------
    >>> Site("hidden", "gru", ("batch", "time", "channel")).described
    'hidden (output of gru: batch, time, channel)'
    """

    name: str
    module: str | None = None
    axes: tuple[str, ...] = ()
    side: str = "output"
    pick: int | str | None = None
    call: int | None = None

    def __post_init__(self):
        if self.side not in ("output", "input"):
            raise ValueError(f"site {self.name!r}: side={self.side!r} must be 'output' or 'input'")
        if len(set(self.axes)) != len(self.axes):
            raise ValueError(f"site {self.name!r} has two axes of one name: {', '.join(self.axes)}")
        if self.module is None:
            object.__setattr__(self, "module", self.name)

    @property
    def described(self) -> str:
        """The site in words, for errors."""
        axes = ", ".join(self.axes) or "axes unknown"
        return f"{self.name} ({self.side} of {self.module or 'the model'}: {axes})"


def inside(path: str, sites: Iterable[Site], prefix: str = "") -> tuple[Site, ...]:
    """Sites of a submodule at ``path``, as sites of the model around it; names get ``prefix`` before them.

    Examples
    --------
    >>> (site,) = inside("encoder", [Site("hidden", "gru")], "enc.")
    >>> site.name, site.module
    ('enc.hidden', 'encoder.gru')
    """
    return tuple(
        replace(site, name=prefix + site.name, module=f"{path}.{site.module}" if site.module else path)
        for site in sites
    )


def sites_of(model: nn.Module) -> dict[str, Site]:
    """Sites by name: those that the model declares in ``sites()``, else the output of every module without children.

    Raises
    ------
    ValueError
        If a model declares two sites of one name, or one at a module that it does not have.

    Examples
    --------
    >>> list(sites_of(nn.Sequential(nn.Linear(2, 3), nn.ReLU())))
    ['0', '1']
    """
    declared = getattr(model, "sites", None)
    if callable(declared):
        found = tuple(declared())
    else:
        found = tuple(
            Site(path) for path, module in model.named_modules() if path and not any(module.children())
        )
    names = [site.name for site in found]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise ValueError(f"{type(model).__name__} declares the site {sorted(twice)[0]!r} twice")
    paths = {path for path, _ in model.named_modules()}
    for site in found:
        if site.module not in paths:
            raise ValueError(
                f"{type(model).__name__} declares {site.described}, but has no module {site.module!r}"
            )
    return dict(zip(names, found, strict=True))
