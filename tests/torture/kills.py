"""SIGKILL at random moments, again and again, until the command comes to its end: it must end as the one that nothing
disturbed.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator

from base import FLAGS, SWEEP, Base, same_project, same_run, same_simulation, same_sweep
from outcome import Try, judge
from process import Ended, run


def of_train(base: Base, count: int, seed: int) -> Iterator[Try]:
    """Each run is killed up to five times within the time that a whole one takes."""
    workdir = base.folder / 'killed_train'

    def command(kill_after_s: float | None) -> Ended:
        return run('experiments.train', *FLAGS, f'--workdir={workdir}', kill_after_s=kill_after_s)

    return _killed(
        'kill train',
        command,
        lambda: shutil.rmtree(workdir, ignore_errors=True),
        lambda: same_run(workdir, base.whole),
        count,
        seed,
        5,
    )


def of_sweep(base: Base, count: int, seed: int) -> Iterator[Try]:
    directory = base.folder / 'killed_sweep'

    def command(kill_after_s: float | None) -> Ended:
        return run('experiments.sweep', *SWEEP, f'--workdir={directory}', kill_after_s=kill_after_s)

    reset, same = lambda: shutil.rmtree(directory, ignore_errors=True), lambda: same_sweep(directory, base.sweep)
    return _killed('kill sweep', command, reset, same, count, seed, 12)


def of_export(base: Base, count: int, seed: int) -> Iterator[Try]:
    """The project is there already half of the time, and then is replaced."""
    out = base.folder / 'killed_export' / 'project'

    def command(kill_after_s: float | None) -> Ended:
        return run(
            'experiments.export', f'--workdir={base.whole}', f'--out={out}', '--overwrite', kill_after_s=kill_after_s
        )

    return _killed('kill export', command, lambda: None, lambda: same_project(out, base.project), count, seed, 0.25)


def of_csim(base: Base, count: int, seed: int) -> Iterator[Try]:
    project = base.copy(base.project, 'killed_csim')

    def command(kill_after_s: float | None) -> Ended:
        return run('hls_export.csim', str(project), kill_after_s=kill_after_s)

    reset = lambda: shutil.rmtree(project / 'build', ignore_errors=True)  # noqa: E731
    return _killed('kill csim', command, reset, lambda: same_simulation(project, base.project), count, seed, 2)


def _killed(
    kind: str,
    command: Callable[[float | None], Ended],
    reset: Callable[[], None],
    same: Callable[[], bool],
    count: int,
    seed: int,
    span_s: float,
) -> Iterator[Try]:
    """`count` kills, each within `span_s` of the start of a process; up to five of them to one run."""
    rng, done = random.Random(seed), 0
    while done < count:
        reset()
        moments = [rng.uniform(0, span_s) for _ in range(min(rng.randint(1, 5), count - done))]
        killed = []
        for moment in moments:
            ended = command(moment)
            if (
                ended.status is None or ended.status >= 0
            ):  # it was done before; or a kill left what the next one cannot go on with
                break
            killed.append(moment)
        outcome, detail = judge(command(None), same, well=(0,))
        if outcome == 'named' and 'finished run of this config' in detail:
            outcome, detail = ('same', '') if same() else ('wrong', detail)
        what = f'seed {seed}, try {done}: after {", ".join(f"{each:.3f}" for each in moments)} s'
        yield from [Try(kind, what, outcome, detail)] * max(1, len(killed))
        done += max(1, len(killed))
