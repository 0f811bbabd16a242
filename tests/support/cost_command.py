"""`python -m costmodel` in this process."""

from costmodel import cli


def run(capsys, *args: str) -> tuple[int, str, str]:
    status = cli.main(args)
    captured = capsys.readouterr()
    return status, captured.out, captured.err
