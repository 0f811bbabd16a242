"""Files that appear whole, links that are not followed, and locks that end with their process."""

import os
import subprocess
import sys

import pytest

from tailor_jax import files


def test_a_file_is_replaced_whole_and_nothing_else_stays(tmp_path):
    path = tmp_path / 'a'
    for content in ('one', b'two'):
        files.write(path, content)
    assert path.read_bytes() == b'two' and list(tmp_path.iterdir()) == [path]


def test_planted_links_are_replaced_not_followed(tmp_path):
    victim = tmp_path / 'victim'
    victim.write_text('mine')
    for name in ('a', '.a.partial'):
        (tmp_path / name).symlink_to(victim)
    files.write(tmp_path / 'a', 'ours')
    assert victim.read_text() == 'mine' and (tmp_path / 'a').read_text() == 'ours' and not (tmp_path / 'a').is_symlink()


def test_only_regular_files_of_a_sensible_size_are_read(tmp_path):
    os.mkfifo(tmp_path / 'pipe')
    (tmp_path / 'large').write_bytes(bytes(11))
    for name, message in (('pipe', 'is no file'), ('large', '11 bytes; at most 10'), ('.', 'is no file')):
        with pytest.raises(OSError, match=message):
            files.read(tmp_path / name, 10)


def test_a_lock_names_its_holder_and_ends_with_it(tmp_path):
    program = (
        f'from tailor_jax import files; import sys\nwith files.locked({str(tmp_path)!r}):\n    print("held", '
        'flush=True)\n    sys.stdin.read()\n'
    )
    holder = subprocess.Popen([sys.executable, '-c', program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout.readline() == 'held\n'
    with (
        pytest.raises(files.LockedError, match=f'{tmp_path} is in use by process {holder.pid} on '),
        files.locked(tmp_path),
    ):
        pass
    holder.kill()
    holder.wait()
    with files.locked(tmp_path):
        pass


def test_a_planted_link_is_no_lock(tmp_path):
    (tmp_path / files.LOCK).symlink_to(tmp_path / 'victim')
    with pytest.raises(OSError), files.locked(tmp_path):
        pass
    assert not (tmp_path / 'victim').exists()
