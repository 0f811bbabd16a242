"""C-simulates an exported project and compares every value with the integer reference.

    python -m hls_export.csim P [--mode=fast|strict|cycle] [--images=N] [--trace=FILE]

prints a short table, writes P/csim.json (`mode`, `images`, `mismatched_values`, `accuracy`, `seconds`, `images_per_second`; in cycle mode
also `interval_cycles`, `interval_images`, `latency_cycles`, `deadlock` and `fifos`) and exits with 0 only if no value differs. `--trace`
(cycle mode) writes a CSV `fifo,cycle,occupancy`, one row a change. Without `--images` all are run; the cycle simulation runs 32 at most.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from hls_export import toolchain
from hls_export.project import ExportError

CYCLE_IMAGES = 32


def simulate(path: str | Path, mode: str = 'fast', images: int | None = None, trace: str | None = None) -> dict:
    """Builds and runs one simulation, writes P/csim.json and returns its content. Raises ExportError if it could not run."""
    if images is not None and images < 1:
        raise ExportError(f'--images must be a positive number, got {images}')
    if trace is not None and mode != 'cycle':
        raise ExportError(f'--trace needs --mode=cycle: the {mode} simulation has no clock')
    count = CYCLE_IMAGES if mode == 'cycle' and images is None else images
    measured, _ = toolchain.run(path, mode, count, trace)
    result = {'mode': mode, **measured}
    (Path(path) / 'csim.json').write_text(json.dumps(result, indent=1) + '\n')
    return result


def table(result: dict) -> str:
    """What a person wants to know of a simulation, a few aligned lines."""
    rows = [
        ('mode', result['mode']),
        ('images', result['images']),
        ('mismatched values', f'{result["mismatched_values"]} of {result["values"]}'),
        ('accuracy', f'{result["accuracy"]:.4f}'),
        ('seconds', f'{result["seconds"]:.3f}'),
        ('images/s', f'{result["images_per_second"]:.1f}'),
    ]
    if first := result['first_mismatch']:
        rows.append(
            (
                'first mismatch',
                f'image {first["image"]}, class {first["class"]}: got {first["got"]}, expected {first["expected"]}; '
                f'largest difference {result["largest_difference"]}',
            )
        )
    if result['mode'] == 'cycle':
        if result['interval_cycles'] is None:
            rows.append(('interval_cycles', '-' if result['deadlock'] else 'too few images to tell'))
        else:
            rows.append(('interval_cycles', f'{result["interval_cycles"]:.10g}, the mean over {result["interval_images"]} images'))
        rows.append(('latency_cycles', '-' if result['latency_cycles'] is None else result['latency_cycles']))
        if deadlock := result['deadlock']:
            rows += [('DEADLOCK', f'FIFO {", ".join(deadlock["full_fifos"]) or "none"} full'), *(('', line) for line in deadlock['waiting'])]
        width = max([len(fifo['name']) for fifo in result['fifos']], default=0)
        rows += [
            ('FIFO', f'{"name":{width}}  depth  max'),
            *(('', f'{fifo["name"]:{width}}  {fifo["depth"]:5}  {fifo["max_occupancy"]:3}') for fifo in result['fifos']),
        ]
    return '\n'.join(f'{name:18} {value}' for name, value in rows)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog='python -m hls_export.csim', description='C-simulate an exported project')
    parser.add_argument('path', help='the project directory')
    parser.add_argument('--mode', default='fast', choices=toolchain.MODES)
    parser.add_argument('--images', type=int, help='how many of the stored test images to run')
    parser.add_argument('--trace', help='cycle mode: write FIFO occupancy over time to this CSV file')
    options = parser.parse_args(arguments)
    try:
        result = simulate(options.path, options.mode, options.images, options.trace)
    except ExportError as error:
        print(f'csim: {error}', file=sys.stderr)
        return 2
    print(table(result))
    return 0 if result['mismatched_values'] == 0 and not result.get('deadlock') else 1


if __name__ == '__main__':
    sys.exit(main())
