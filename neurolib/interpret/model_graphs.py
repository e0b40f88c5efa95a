"""Graphs of this book's models with residual streams: a model in, its senders and readers out."""

from collections.abc import Iterable

from torch import nn

from neurolib.interpret.graph import Graph, Reader, Sender
from neurolib.models.discrete import DiscreteDecoder
from neurolib.models.multimodal.decoder import SpikeDecoder
from neurolib.models.multimodal.network import MultimodalModel
from neurolib.models.sites import Site, inside
from neurolib.models.transformer import CausalTransformer


def graph_of(model: nn.Module, **options) -> Graph:
    """The graph of a model that has one here.

    Parameters
    ----------
    model : SpikeDecoder, MultimodalModel, CausalTransformer, or DiscreteDecoder with such an encoder
    **options
        Of :func:`multimodal_graph`.

    Raises
    ------
    ValueError
        If there is none; any model can have one, made by hand of senders and readers.

    Examples
    --------
    >>> from neurolib.models.transformer import CausalTransformerConfig
    >>> graph_of(CausalTransformerConfig(d=8, heads=2, layers=1).build(5, 2, bin_size_s=0.05))
    Graph(4 senders, 3 readers, 8 edges)
    """
    if isinstance(model, SpikeDecoder):
        return multimodal_graph(model.model, "model", **options)
    if isinstance(model, MultimodalModel):
        return multimodal_graph(model, **options)
    if isinstance(model, CausalTransformer):
        return transformer_graph(model, **options)
    if isinstance(model, DiscreteDecoder) and isinstance(model.encoder, CausalTransformer):
        return transformer_graph(model.encoder, "encoder", **options)
    raise ValueError(
        f"no graph for {type(model).__name__} here; make one of Sender and Reader, or ask about units instead of edges"
    )


class _Stream:
    """A residual stream in the making: who has added to it."""

    def __init__(self):
        self.senders: list[Sender] = []
        self.readers: list[Reader] = []
        self.added: list[str] = []

    def read(self, name: str, site: Site, node: str) -> None:
        """Note a reader of all that was added so far, if anything was."""
        if self.added:
            self.readers.append(Reader(name, site, tuple(self.added), node))

    def add(self, name: str, site: Site, **settings) -> None:
        """Note a sender."""
        self.senders.append(Sender(name, site, **settings))
        self.added.append(name)

    def add_heads(self, name: str, site: Site, node: str, through: str, heads: int) -> None:
        """Note the heads of attention, whose values pass through one map."""
        beside = site.module.rpartition(".")[0]
        for head in range(heads):
            self.add(f"{name}{head}", site, node=node, through=f"{beside}.{through}", head=head)


def transformer_graph(model: CausalTransformer, path: str = "") -> Graph:
    """Tokens, heads and perceptrons of each block, and the read-out; ``path`` is where the transformer is."""
    sites = _sites(path, model.sites())
    stream = _Stream()
    stream.add("tokens", sites["tokens"])
    for i, block in enumerate(model.blocks):
        attention, mlp = f"{i}.attention", f"{i}.mlp"
        stream.read(attention, sites[f"block.{i}.attention_in"], attention)
        stream.add_heads(f"{i}.head", sites[f"block.{i}.heads"], attention, "project", block.heads)
        stream.read(mlp, sites[f"block.{i}.mlp_in"], mlp)
        stream.add(mlp, sites[f"block.{i}.mlp"])
    stream.read("output", sites["readout_in"], "output")
    return Graph(stream.senders, stream.readers)


def multimodal_graph(
    model: MultimodalModel, path: str = "", modalities: Iterable[str] | None = None
) -> Graph:
    """From tokens to behaviour, by way of latents: the part of the model that ``task="decode"`` runs.

    Parameters
    ----------
    model : MultimodalModel
    path : str
        Where it is in the model around it.
    modalities : iterable of str, optional
        Those that are in the batch; all of the model by default.

    Raises
    ------
    ValueError
        If the backbone has several rates, whose means are not a sum of what was added at the same time.

    Notes
    -----
    A batch and its corrupt partner need the same clocks and masks, and the same recording where one is given:
    those are not on the graph.
    """
    if len(model.cfg.backbone.rates) > 1:
        raise ValueError(f"rates={model.cfg.backbone.rates}: a graph has streams of one rate")
    sites = _sites(path, model.sites())
    there = [name for name in model.cfg.modalities if modalities is None or name in set(modalities)]
    tokens, latents, queries = _Stream(), _Stream(), _Stream()
    names = tuple(f"tokens.{name}" for name in there)
    for name in names:
        tokens.add(name, sites[name], joined=names if len(names) > 1 else ())
    tokens.read("enter.source", sites["enter.source"], "enter.attention")
    _cross_read(latents, "enter", sites, model.perceiver.enter.attend.heads, None)
    for i, layer in enumerate(model.perceiver.process):
        source = sites[f"process.{i}.source"]
        _cross_read(latents, f"process.{i}", sites, layer.attend.heads, source)
    for i, block in enumerate(model.backbone.stacks[0]):
        mixer, slots = f"block.{i}.mixer", f"block.{i}.slots"
        latents.read(mixer, sites[f"{mixer}_in"], mixer)
        latents.add(mixer, sites[mixer])
        if block.slots is not None:
            latents.read(slots, sites[f"{slots}_in"], slots)
            if f"block.{i}.slot_heads" in sites:
                heads = sites[f"block.{i}.slot_heads"]
                latents.add_heads(f"block.{i}.slot", heads, slots, "project", block.slots.heads)
            else:
                latents.add(slots, sites[slots])
    norm = Site("leave.source", f"{path}.backbone.norms.0" if path else "backbone.norms.0", side="input")
    latents.read("leave.source", norm, "leave.attention")
    _cross_read(queries, "leave", sites, model.perceiver.leave.attend.heads, None)
    queries.read("output", sites["decoder_in"], "output")
    streams = (tokens, latents, queries)
    return Graph(
        [sender for stream in streams for sender in stream.senders],
        [reader for stream in streams for reader in stream.readers],
    )


def _cross_read(stream: _Stream, name: str, sites: dict[str, Site], heads: int, source: Site | None) -> None:
    """A layer that reads a source, here the stream itself if given, and adds to the stream."""
    attention, feed = f"{name}.attention", f"{name}.feed"
    stream.read(f"{name}.query", sites[f"{name}.query"], attention)
    if source is not None:
        stream.read(f"{name}.source", source, attention)
    stream.add_heads(f"{name}.head", sites[f"{name}.heads"], attention, "out", heads)
    stream.read(feed, sites[f"{name}.feed_in"], feed)
    stream.add(feed, sites[feed])


def _sites(path: str, sites: Iterable[Site]) -> dict[str, Site]:
    return {site.name: site for site in (inside(path, sites) if path else sites)}
