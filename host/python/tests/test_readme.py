"""The quick start of the README runs as it is written, against the dev server."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

README = Path(__file__).parents[1] / "README.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", README.read_text(), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", EXAMPLES, ids=["blocking", "asyncio", "pandas"])
def test_example_runs(example: str, dev_server: dict[str, Any], tmp_path: Path) -> None:
    example = example.replace("http://127.0.0.1:9000", dev_server["endpoint"]).replace("/tmp/", f"{tmp_path}/")
    ended = subprocess.run([sys.executable, "-W", "error", "-c", example], capture_output=True, text=True, timeout=120, check=False)
    assert ended.returncode == 0, ended.stderr
