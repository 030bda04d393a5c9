"""weights: weights in and out."""

from collections.abc import Sequence
from pathlib import Path

import click

from vggfeat.cli.completers import complete_nets
from vggfeat.cli.group import Commands, importing, main, set_up_messages
from vggfeat.cli.options import cache_dir, offline, quiet
from vggfeat.cli.progress import ProgressDisplay
from vggfeat.cli.width import echo_list
from vggfeat.errors import VggfeatError, in_one_line
from vggfeat.progress import in_megabytes
from vggfeat.storage.folders import folders

FILE = click.Path(dir_okay=False, path_type=Path)


@main.group(cls=Commands)
def weights() -> None:
    """Weights known by name, and files of weights in and out.

    \b
    vggfeat weights ls
    vggfeat weights fetch vgg16@caffe
    vggfeat weights import resnet50-0676ba61.pth
    """


@weights.command("ls")
@click.argument("nets", nargs=-1, metavar="[NETS]...", shell_complete=complete_nets)
@cache_dir
def ls(nets: Sequence[str], cache_dir: Path | None) -> None:
    """List the released weights that `--net NET@NAME` knows; of NETS, all that is known of them.

    Nets of timm have their weights by the name `timm`; `timm.list_pretrained()` lists them.

    \b
    vggfeat weights ls
    vggfeat weights ls vgg16 resnet50
    """
    with importing():
        from vggfeat.errors import UnknownNameError
        from vggfeat.weights.released import TORCHVISION_FAMILY, everything

    entries, folder = list(everything()), folders(cache_dir=cache_dir).weights
    for net in nets:
        if net not in {entry.net for entry in entries}:
            all_nets = {entry.net for entry in entries}
            kind = "net with released weights"
            raise UnknownNameError(kind, net, all_nets, listed=TORCHVISION_FAMILY)
    rows = []
    for entry in entries:
        here = [source.name for source in entry.sources if (folder / source.name).is_file()]
        if not nets:
            size = f"{entry.megabytes:.0f} MB"
            rows.append([entry.label, size, entry.error, "here" if here else ""])
        elif entry.net in nets:
            click.echo(entry.label)
            for name, value in entry.facts().items():
                click.echo(f"  {name}: {value}")
            click.echo(f"  file: {folder / here[0] if here else f'not in {folder}'}")
    echo_list(rows, lambda *texts: "{:<44}{:>9}  {:<52}{}".format(*texts).rstrip())


@weights.command()
@click.argument(
    "names", nargs=-1, required=True, metavar="NET@NAME...", shell_complete=complete_nets
)
@cache_dir
@quiet
def fetch(names: Sequence[str], cache_dir: Path | None, quiet: bool) -> None:
    """Download released weights: verified, resumed where an earlier try was cut off.

    \b
    vggfeat weights fetch vgg16@caffe vgg19@caffe
    """
    with importing():
        from vggfeat.backbones.spec import TIMM_WEIGHTS, NetSpec
        from vggfeat.backbones.timm import file_of
        from vggfeat.storage.download import download
        from vggfeat.weights.released import released

    set_up_messages(quiet)
    specs = {name: NetSpec.parse(name) for name in names}
    for name, spec in specs.items():
        if spec.is_file:
            raise click.UsageError(f"{name}: a file; weights are fetched by name: NET@NAME.")
    entries = {
        name: released(spec.name, spec.weights_or_default)
        for name, spec in specs.items()
        if spec.weights_or_default != TIMM_WEIGHTS
    }
    failed, folder = 0, folders(cache_dir=cache_dir).weights
    with ProgressDisplay(quiet) as progress:
        for name, spec in specs.items():
            try:
                if name in entries:
                    reported = in_megabytes(progress)
                    path = download(entries[name].sources, folder, progress=reported)
                else:
                    path = file_of(spec.name, folder)
            except VggfeatError as error:
                failed += 1
                click.echo(f"Failed: {name}: {in_one_line(error)}", err=True)
                continue
            click.echo(f"{name}: {path}")
    if failed:
        raise click.ClickException(f"{failed} of {len(specs)} could not be fetched.")


@weights.command()
@click.argument("names", nargs=-1, metavar="[FILES OR NET@NAME]...", shell_complete=complete_nets)
@cache_dir
def verify(names: Sequence[str], cache_dir: Path | None) -> None:
    """See that weights are whole, fit their net and are the released ones that their names say.

    A file that carries no checksums is compared with the digest that was seen first.

    Without names: all in the folder of weights that have a released name. Exit status 1 if
    something is wrong.

    \b
    vggfeat weights verify
    vggfeat weights verify vgg16@caffe runs/vgg16-256.safetensors
    """
    with importing():
        from vggfeat.backbones.load import load_network
        from vggfeat.backbones.spec import NetSpec
        from vggfeat.benchmarks.verify import findings
        from vggfeat.weights.released import everything

    folder = folders(cache_dir=cache_dir).weights
    if not names:
        names = [
            entry.label
            for entry in everything()
            if any((folder / source.name).is_file() for source in entry.sources)
        ]
        if not names:
            raise click.ClickException(f"{folder}: holds no released weights.")
    wrong = 0
    for name in names:
        try:
            spec = NetSpec.parse(name)
            network = load_network(spec, weights_dir=folder, offline=True)
            entry = network.released
            if entry and entry.layer and spec.layer is None:
                spec = spec.with_option("layer", entry.layer)  # it is whole with that much
                name, network = str(spec), load_network(spec, weights_dir=folder, offline=True)
            network.net()
        except VggfeatError as error:
            wrong += 1
            message = in_one_line(error)
            click.echo(message if message.startswith(f"{name}: ") else f"{name}: {message}")
            continue
        path = Path(spec.weights or "").expanduser()
        if path.is_file() and (damaged := [f for f in findings(path) if f.status == "damaged"]):
            wrong += 1
            click.echo(str(damaged[0]))
            continue
        label = network.released.label if network.released else "no released weights"
        click.echo(f"{name}: whole, fits {network.name}; {label}; {network.weights_identity}")
    if wrong:
        raise click.ClickException(f"{wrong} of {len(names)} are not as they should be.")


@weights.command("import")
@click.argument("file", type=FILE)
@click.option(
    "--net",
    metavar="NET",
    shell_complete=complete_nets,
    help="The net it belongs to, where the file does not say.",
)
@click.option("--prototxt", type=FILE, help="Caffe's description of the net, to be compared.")
@click.option("--out", type=FILE, help="By default FILE's name with .safetensors, in this folder.")
@quiet
def import_(
    file: Path, net: str | None, prototxt: Path | None, out: Path | None, quiet: bool
) -> None:
    """Turn a weights file into .safetensors with a card that says what it is.

    FILE is a .caffemodel, a MatConvNet .mat, a torch file, .safetensors, or ONNX as exported by
    `vggfeat weights export`.

    \b
    vggfeat weights import VGG_ILSVRC_16_layers.caffemodel \\
        --out vgg16-caffe.safetensors
    vggfeat weights import resnet50-0676ba61.pth
    vggfeat weights import mine.pth \\
        --net vgg16:ceil_mode=true,mean=123/117/104,std=1/1/1
    """
    set_up_messages(quiet)
    with importing():
        from vggfeat.backbones.convert import import_weights
        from vggfeat.backbones.spec import NetSpec
        from vggfeat.doctor import network_facts

    out = out or Path(f"{file.stem}.safetensors")
    spec = NetSpec.parse(net) if net else None
    network = import_weights(file, out, net=spec, prototxt=prototxt)
    for name, value in network_facts(network):
        click.echo(f"{name}: {value}", err=True)
    click.echo(out)


@weights.command()
@click.argument("net", metavar="NET", shell_complete=complete_nets)
@click.argument("file", type=FILE)
@cache_dir
@offline
@quiet
def export(net: str, file: Path, cache_dir: Path | None, offline: bool, quiet: bool) -> None:
    """Write the weights of a net as FILE, in the format of its suffix.

    .safetensors; .pth in torchvision's layout; .onnx; .caffemodel with a .prototxt beside it; .mat
    of MatConvNet. What has no place for the card gets it beside, as FILE.card.json.

    \b
    vggfeat weights export runs/vgg16-256.safetensors vgg16-256.caffemodel
    """
    set_up_messages(quiet)
    with importing():
        from vggfeat.backbones.convert import export_weights
        from vggfeat.backbones.load import load_network

    places = folders(cache_dir=cache_dir)
    export_weights(load_network(net, weights_dir=places.weights, offline=offline), file)
    click.echo(file)
