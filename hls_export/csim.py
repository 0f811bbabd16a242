"""C-simulates an exported project and compares every value with the integer reference.

    python -m hls_export.csim P [--mode=fast|strict|cycle|verilog] [--images=N] [--trace=FILE.csv] [--stall=SEED]

prints a short table, writes P/csim.json (`mode`, `images`, `mismatched_values`, `accuracy`, `seconds`,
`images_per_second`; in cycle and verilog mode also `interval_cycles`, `interval_images`, `latency_cycles`, `deadlock`
and `fifos`) and exits with 0 only if no value differs, else with 1. `--trace` (cycle mode) writes a CSV
`fifo,cycle,occupancy`, one row a change; `--stall` (cycle and verilog mode) makes the source and the sink idle at
random, and csim.json has its seed as `stall` and no interval. Without `--images` all are run; the cycle simulation then
runs 32 at most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from hls_export import index, toolchain
from hls_export.index import USER_ERRORS, ExportError
from tailor_jax import files
from tailor_jax.command import Parser, status
from tailor_jax.fields import header

FORMAT = ('csim', 1)

CYCLE_IMAGES = 32
CLOCKED = ('cycle', 'verilog')  # modes that count cycles


def simulate(
    path: str | Path, mode: str = 'fast', images: int | None = None, trace: str | Path | None = None, stall: int = 0
) -> dict:
    """Builds and runs one simulation, writes P/csim.json and returns its content.

    Args:
      path: the project.
      mode: one of `toolchain.MODES`.
      images: how many of the stored ones to run; by default all, in cycle mode at most `CYCLE_IMAGES`.
      trace: cycle mode: a CSV file to write.
      stall: cycle or verilog mode: a seed, of pauses of the source and the sink; 0 for none.

    Raises ExportError if it could not run, if test data are damaged, or if more images are asked for than are stored.
    """
    if trace is not None and mode != 'cycle':
        raise ExportError(
            f'--trace needs --mode=cycle: the {mode} simulation does not record how full FIFOs are over time'
        )
    if trace is not None and Path(trace).suffix != '.csv':  # so that no slip of the hand replaces a source or a record
        raise ExportError(f'--trace must be a file with the suffix .csv, got {trace!r}')
    if stall and (mode not in CLOCKED or not 0 < stall < 1 << 31):
        raise ExportError(
            f'--stall must be a seed of 1..{(1 << 31) - 1} and needs --mode=cycle or verilog, got {stall}'
        )
    project = index.load(path)
    if images is not None and not 1 <= images <= project.images:
        raise ExportError(
            f'--images must be 1 to {project.images}, which is how many {Path(path) / "tb_data"} stores, got {images}'
        )
    index.check_test_data(path, project)
    count = images or (min(CYCLE_IMAGES, project.images) if mode == 'cycle' else project.images)
    measured, _ = toolchain.run(path, mode, count, trace, stall)
    result = {**header(*FORMAT), 'mode': mode, **measured}
    if stall:  # there is no steady state that an interval could be of
        result |= {'stall': stall, 'interval_cycles': None, 'interval_images': 0}
    files.write(Path(path) / 'csim.json', json.dumps(result, indent=1) + '\n')
    return result


def text_table(result: dict) -> str:
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
    if result['mode'] in CLOCKED:
        if result['interval_cycles'] is None:
            told = '-, both ports pause' if 'stall' in result else 'too few images to tell'
            rows.append(('interval_cycles', '-' if result['deadlock'] else told))
        else:
            rows.append(
                (
                    'interval_cycles',
                    f'{result["interval_cycles"]:.10g}, the mean over {result["interval_images"]} images',
                )
            )
        rows.append(('latency_cycles', '-' if result['latency_cycles'] is None else result['latency_cycles']))
    if deadlock := result.get('deadlock'):
        rows += [
            ('DEADLOCK', f'FIFO {", ".join(deadlock["full_fifos"]) or "none"} full'),
            *(('', line) for line in deadlock['waiting']),
        ]
    if result['mode'] in CLOCKED:
        width = max([len(fifo['name']) for fifo in result['fifos']], default=0)
        rows += [
            ('FIFO', f'{"name":{width}}  depth  max'),
            *(
                ('', f'{fifo["name"]:{width}}  {fifo["depth"]:5}  {fifo["max_occupancy"]:3}')
                for fifo in result['fifos']
            ),
        ]
    return '\n'.join(f'{name:18} {value}' for name, value in rows)


def main(arguments: list[str] | None = None) -> int:
    return status(lambda: _command(arguments), *USER_ERRORS)


def _command(arguments: list[str] | None) -> int:
    parser = Parser('python -m hls_export.csim', __doc__)
    parser.add_argument('path', help='the project directory')
    parser.add_argument('--mode', default='fast', choices=toolchain.MODES)
    parser.add_argument('--images', type=int, help='how many of the stored test images to run')
    parser.add_argument('--trace', help='cycle mode: write FIFO occupancy over time to this CSV file')
    parser.add_argument(
        '--stall', type=int, default=0, help='cycle and verilog mode: seed of random pauses at both ports'
    )
    options = parser.parse_args(arguments)
    result = simulate(options.path, options.mode, options.images, options.trace, options.stall)
    print(text_table(result))
    return 0 if result['mismatched_values'] == 0 and not result.get('deadlock') else 1


if __name__ == '__main__':
    sys.exit(main())
