"""Sets that ``neurolib data prepare`` knows: where each comes from, under which licence, and how it is read.

A lister gets a :class:`~neurolib.data.prepare.Request` and returns sessions, each with a function that reads
it. Readers and the packages they need are imported there.
"""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

from neurolib.data import catalog, dandi
from neurolib.data.prepare import Recipe, Request, Session
from neurolib.data.recording import Recording

IBL_TAG = "2022_Q4_IBL_et_al_BWM"
GW_TR_S = 2.0  # not stated by the source, so assumed


def local_folder(id: str) -> Path:
    """Folder of a set that lies in the data folder; files are checked if the catalog lists it."""
    if id in catalog.datasets():
        catalog.require(id)
        return catalog.folder(id)
    here = catalog.data_root() / id
    if not here.is_dir():
        raise FileNotFoundError(f"{id}: no folder {here}; point NEUROLIB_DATA to the folder that holds it")
    return here


def nlb(id: str, request: Request) -> list[Session]:
    """A training file of the Neural Latents Benchmark."""
    from neurolib.data.nlb import read_nlb

    local_folder(id)
    subject = catalog.dataset(id).species.partition("(")[2].rstrip(")")
    return [Session(id, lambda: read_nlb(id, catalog.require(id)[0]), attrs={"subject": subject})]


def grasping(request: Request) -> list[Session]:
    """Motor cortex before a grasp."""
    from neurolib.data.grasping import load_grasping

    local_folder("centuri_grasp")
    return [Session("centuri_grasp", load_grasping)]


def place_cells(request: Request) -> list[Session]:
    """Hippocampus on a track: sessions of every mouse that is here."""
    from neurolib.data.place_cells import load_place_cells

    here = local_folder("zivlab_place_calcium")
    mice = sorted(path.name.partition("_")[0] for path in here.glob("*_spike_train.mat"))
    all_of = cache(lambda mouse: load_place_cells(mouse, here))
    return [
        Session(
            f"{mouse}-{number}", partial(lambda m, n: all_of(m)[n], mouse, number), attrs={"subject": mouse}
        )
        for mouse in mice
        for number in range(len(all_of(mouse)))
    ]


def zebrafish(request: Request) -> list[Session]:
    """Regions of a larval zebrafish; time counts volumes, since the source states no rate."""
    from neurolib.data.regions import load_regions

    here = local_folder("zebrafish_regions")
    return [Session("fish6", lambda: load_regions(here), attrs={"subject": "fish6", "assumed": "rate_hz=1"})]


def myo(request: Request) -> list[Session]:
    """Armband EMG: one recording per session, since the armband is taken off between them."""
    from neurolib.data.myo import load_session

    folders = sorted(path for path in local_folder("myo_emg").iterdir() if path.is_dir())
    return [
        Session(path.name, partial(load_session, path), attrs={"subject": path.name.partition("-")[0]})
        for path in folders
    ]


def lfp_samples(request: Request) -> list[Session]:
    """Single channels that packages of methods come with."""
    from neurolib.data.field_potentials import SAMPLES, read_sample

    here = local_folder("lfp_samples")
    return [Session(name, partial(read_sample, name, here / sample.file)) for name, sample in SAMPLES.items()]


def gw_fmri(request: Request) -> list[Session]:
    """Resting BOLD of a few persons, the time between volumes assumed."""
    from neurolib.data.fmri import read_resting

    about = {"assumed": f"tr_s={GW_TR_S:g}"}
    return [
        Session(path.name, partial(read_resting, path, GW_TR_S), attrs=about | {"subject": path.name})
        for path in sorted(local_folder("gw_fmri").iterdir())
        if (path / "functional").is_dir()
    ]


def grip_force(request: Request) -> list[Session]:
    """The example recording of py_neuromodulation."""
    from neurolib.data.ecog import read_brainvision

    headers = sorted(local_folder("py_neuromod_ecog").rglob("*_ieeg.vhdr"))
    return [Session(path.stem, partial(read_brainvision, path, 1e-6, "MOV_RIGHT")) for path in headers]


def eegmmidb_here(request: Request) -> list[Session]:
    """The one subject of EEGMMIDB in the data folder."""
    from neurolib.data.eegmmidb import read_subject

    here = local_folder("eegmmidb_S001")
    return [Session("S001", lambda: read_subject(here), attrs={"subject": "S001"})]


def eegmmidb(request: Request) -> list[Session]:
    """Every subject of EEGMMIDB but the faulty ones, all fourteen runs, through mne's downloader."""
    from neurolib.data.eegmmidb import FAULTY, read_subject

    def read(subject: int) -> Recording:
        from mne.datasets import eegbci

        request.cache.mkdir(parents=True, exist_ok=True)
        load = partial(
            eegbci.load_data, subject, list(range(1, 15)), path=str(request.cache), update_path=False
        )
        return read_subject(online("EEGMMIDB at physionet.org", load))

    numbers = [n for n in range(1, 110) if n not in FAULTY]
    return [Session(f"S{n:03d}", partial(read, n), attrs={"subject": f"S{n:03d}"}) for n in numbers]


def development_fmri(request: Request) -> list[Session]:
    """Children and adults watching one film; which persons come depends on how many are asked for."""
    from neurolib.data.fmri import fetch_films

    n = min(request.sessions or 155, 155)
    films = cache(lambda: online("development_fmri at osf.io", partial(fetch_films, n, folder=request.cache)))

    def read(number: int) -> Recording | None:
        return films()[number] if number < len(films()) else None  # who moved too much is missing

    return [Session(f"film-{number:03d}-of-{n:03d}", partial(read, number)) for number in range(n)]


def ibl(request: Request) -> list[Session]:
    """Insertions of the Brain-wide Map."""
    from neurolib.data.ibl import public_server, read_one

    one = public_server()
    query = f"datasets__tags__name,{IBL_TAG}"
    insertions = online(
        "openalyx.internationalbrainlab.org", lambda: list(one.search_insertions(django=query))
    )

    def read(insertion: object) -> Recording:
        eid, probe = one.pid2eid(insertion)
        return read_one(str(eid), f"{probe}/pykilosort", one)

    insertions = insertions[: request.sessions or None]
    return [
        Session(str(insertion), partial(online, f"insertion {insertion}", partial(read, insertion)))
        for insertion in insertions
    ]


def allen_two_photon(request: Request) -> list[Session]:
    """Processed sessions of DANDI 000728."""
    from neurolib.data.allen_calcium import read_visual_coding

    return of_dandi("000728", "*_behavior+image+ophys.nwb", read_visual_coding, request)


def allen_lfp(request: Request) -> list[Session]:
    """Probes of DANDI 000021, each with the spikes of its session."""
    from neurolib.data.field_potentials import read_allen_lfp

    def session_of(file: dandi.Asset) -> str:
        return "_".join(Path(file.path).stem.split("_")[:2])  # sub-<subject>_ses-<session>

    files = dandi.assets("000021")
    alone = sorted((file for file in files if "_probe-" not in file.path), key=lambda file: -len(file.path))
    whole = {session_of(file): file for file in alone}  # of several, that with the plainest name

    def read(probe: dandi.Asset, session: dandi.Asset | None) -> Recording:
        beside = dandi.download(session, request.cache) if session else None
        start_s, stop_s = request.between_s
        return read_allen_lfp(dandi.download(probe, request.cache), beside, start_s=start_s, stop_s=stop_s)

    made = []
    for probe in (file for file in files if "_probe-" in file.path):
        session = whole.get(session_of(probe))
        made.append(
            Session(
                f"{Path(probe.path).stem} {request.between_s[0]:g}-{request.between_s[1]:g}s",
                partial(read, probe, session),
                probe.bytes + (session.bytes if session else 0),
                attrs_of(probe),
            )
        )
    return made


def ajile(request: Request) -> list[Session]:
    """Days of DANDI 000055, a stretch of each."""
    from neurolib.data.ecog import read_ajile

    start_s, stop_s = request.between_s
    read = partial(read_ajile, start_s=start_s, stop_s=stop_s)
    return of_dandi("000055", "*.nwb", read, request, f" {start_s:g}-{stop_s:g}s")


def falcon_m1(request: Request) -> list[Session]:
    """Sessions of DANDI 000941."""
    from neurolib.data.falcon import read_falcon_m1

    return of_dandi("000941", "*.nwb", read_falcon_m1, request)


def of_dandi(
    dandiset: str, pattern: str, reader: Callable[[Path], Recording], request: Request, suffix: str = ""
) -> list[Session]:
    """One session per file of a dandiset."""

    def read(file: dandi.Asset) -> Recording:
        return reader(dandi.download(file, request.cache))

    return [
        Session(f"{Path(file.path).stem}{suffix}", partial(read, file), file.bytes, attrs_of(file))
        for file in dandi.assets(dandiset, pattern)
    ]


def attrs_of(file: dandi.Asset) -> dict[str, str]:
    """Subject and origin of a file of DANDI, whose names begin with ``sub-<subject>``."""
    subject = Path(file.path).name.split("_")[0].removeprefix("sub-")
    return {"subject": subject, "file": file.path, "dandiset": file.dandiset, "version": file.version}


def online(what: str, act: Callable):
    """Do something that needs a network; whatever its client raises then is one plain error."""
    try:
        return act()
    except FileNotFoundError:
        raise
    except (OSError, RuntimeError) as error:
        why = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
        raise ConnectionError(f"{what} cannot be reached ({why}); is there a network?") from None


HERE = "neurolib.data.recipes:"
DANDI = "https://dandiarchive.org/dandiset/"
NOT_STATED = "not stated"
NLB = {id: entry for id, entry in catalog.datasets().items() if "NLB" in entry.title}

RECIPES = {
    recipe.name: recipe
    for recipe in (
        *(
            Recipe(id, "spike", entry.licence, True, (entry.source,), partial(nlb, id), needs=("pynwb",))
            for id, entry in NLB.items()
        ),
        Recipe("centuri_grasp", "spike", NOT_STATED, False, ("https://github.com/CONECT-INT/2022_CENTURI-SummerSchool",),
               HERE + "grasping", split="trial"),
        Recipe("zivlab_place_calcium", "calcium", NOT_STATED, False,
               ("https://github.com/zivlab/unbiased_information_estimation",), HERE + "place_cells"),
        Recipe("zebrafish_regions", "calcium", "CC-BY-4.0", True, ("https://doi.org/10.5683/SP3/IIVGOB",),
               HERE + "zebrafish", window_s=20.0),
        Recipe("myo_emg", "emg", "MIT", True, ("https://github.com/aljazfrancic/myo-readings-dataset",), HERE + "myo"),
        Recipe("lfp_samples", "lfp", "Apache-2.0, one channel under CRCNS terms", False,
               ("https://github.com/bycycle-tools/bycycle", "https://github.com/neurodsp-tools/neurodsp"),
               HERE + "lfp_samples"),
        Recipe("gw_fmri", "fmri", NOT_STATED, False, ("https://github.com/neurolib-dev/neurolib",), HERE + "gw_fmri",
               window_s=32.0),
        Recipe("py_neuromod_ecog", "ecog", NOT_STATED, False,
               ("https://github.com/neuromodulation/py_neuromodulation",), HERE + "grip_force", needs=("mne",)),
        Recipe("eegmmidb_S001", "eeg", "ODC-By-1.0", True, ("https://physionet.org/content/eegmmidb/1.0.0/",),
               HERE + "eegmmidb_here", needs=("mne",), window_s=4.0),
        Recipe("eegmmidb", "eeg", "ODC-By-1.0", True, ("https://physionet.org/content/eegmmidb/1.0.0/",),
               HERE + "eegmmidb", 32_000_000, needs=("mne",), window_s=4.0),
        Recipe("development_fmri", "fmri", "free for non-commercial research", False,
               ("https://openneuro.org/datasets/ds000228",), HERE + "development_fmri", 8_000_000,
               needs=("nilearn", "nibabel"), window_s=32.0),
        Recipe("ibl", "spike", "CC-BY-4.0", True, ("https://openalyx.internationalbrainlab.org",), HERE + "ibl",
               700_000_000, needs=("one",)),
        Recipe("allen_two_photon", "calcium", "CC-BY-4.0", True, (DANDI + "000728",), HERE + "allen_two_photon",
               needs=("pynwb",), window_s=2.0),
        Recipe("allen_lfp", "lfp", "CC-BY-4.0", True, (DANDI + "000021",), HERE + "allen_lfp", needs=("pynwb",)),
        Recipe("ajile12", "ecog", "CC-BY-4.0", True, (DANDI + "000055",), HERE + "ajile", needs=("pynwb",),
               window_s=2.0),
        Recipe("falcon_m1", "emg", "CC-BY-4.0", True, (DANDI + "000941",), HERE + "falcon_m1", needs=("pynwb",)),
    )
}  # fmt: skip
