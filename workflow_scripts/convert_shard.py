"""Convert one shard of HDF5 samples to npy files."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import HeaderBytes, Positive, argument
from deepcam.data import convert, npy


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--manifest", type=Path, required=True, help="manifest of the HDF5 shard")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the npy shard to write")
    parser.add_argument(
        "--threads", type=argument(Positive), required=True, help="number of files to convert in parallel"
    )
    parser.add_argument("--remove-hdf5", action="store_true", help="remove HDF5 files after verifying the npy files")
    parser.add_argument(
        "--header-bytes",
        type=argument(HeaderBytes),
        default=npy.USUAL_HEADER,
        help="bytes before the data in each npy file; default: %(default)s",
    )
    arguments = parser.parse_args()
    convert.convert_shard(
        arguments.manifest,
        arguments.output_dir,
        arguments.threads,
        not arguments.remove_hdf5,
        arguments.header_bytes,
    )


if __name__ == "__main__":
    cli.run(main)
