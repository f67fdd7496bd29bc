"""Lists how big the functions are that `make release` built, zipped as they are uploaded; fails if one is too big.

Usage: sizes.py FUNCTION ... Sizes are in megabytes of 1,000,000 bytes. 3 MB is what is aimed at; those that call S3 are above it,
since its client alone takes half a megabyte (benches/README.md).
"""

import io
import sys
import zipfile
from pathlib import Path

BUILT = Path(__file__).parent.parent / "target" / "lambda"
LARGEST = 3_600_000


def zipped(function):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(BUILT / function / "bootstrap", "bootstrap")
    return len(buffer.getvalue())


def main():
    sizes = {function: zipped(function) for function in sys.argv[1:]}
    for function, size in sorted(sizes.items(), key=lambda item: -item[1]):
        print(f"{size / 1e6:6.2f} MB  {function}")
    too_big = [function for function, size in sizes.items() if size > LARGEST]
    if too_big:
        sys.exit(f"more than {LARGEST / 1e6:.1f} MB zipped: {', '.join(too_big)}")


if __name__ == "__main__":
    main()
