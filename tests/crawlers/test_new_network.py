"""A new network is one file and one line: the one in docs/crawling.md is added to a copy of the package and crawled."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pyarrow.parquet as pq
from crawl_server import Answer, LocalServer, command, environment, jpeg, write_job

ROOT = Path(__file__).parent.parent.parent


def item(number: int, server: LocalServer, **changes: object) -> dict[str, object]:
    return {
        "id": f"item-{number}",
        "date_published": f"2019-07-0{number}T12:00:00+09:00",
        "image": f"{server.url}/{number}.jpg",
        "tags": ["OOTD"],
        "authors": [{"name": "Mina"}],
    } | changes


def test_the_network_of_the_documentation_crawls_a_feed(server: LocalServer, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "crawling.md").read_text(encoding="utf-8")
    code = re.search(r'```python\n("""JSON Feed.*?)```', text, flags=re.DOTALL)
    assert code is not None
    shutil.copytree(ROOT / "crawlers", tmp_path / "crawlers", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "crawlers" / "networks" / "jsonfeed.py").write_text(code[1])
    registry = tmp_path / "crawlers" / "registry.py"
    registry.write_text(registry.read_text().replace('    "misskey",\n', '    "misskey",\n    "jsonfeed",\n'))
    pages = {
        "/feed.json": {"items": [item(1, server), item(2, server), {"id": "x"}], "next_url": "/feed-2.json"},
        "/feed-2.json": {"items": [item(3, server, tags=["cats"]), item(9, server)], "next_url": "/feed.json"},
    }
    server.routes = {path: Answer(json.dumps({"version": "1.1", **page}).encode()) for path, page in pages.items()}
    server.routes |= {f"/{number}.jpg": Answer(jpeg(number)) for number in (1, 2, 3, 9)}
    source = {"kind": "jsonfeed", "name": "feed", "server": f"{server.url}/feed.json", "hashtags": ["ootd"], "delay": 0}
    job = write_job(tmp_path, source | {"allow_hosts": ["127.0.0.1"]})
    done = subprocess.run(
        command(job),
        env=environment(PYTHONPATH=str(tmp_path)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    posts = pq.read_table(tmp_path / "out" / "posts.parquet").to_pylist()
    assert [post["post_id"] for post in posts] == ["jsonfeed:item-1", "jsonfeed:item-2"]
    assert pq.read_table(tmp_path / "out" / "images.parquet").column("status").to_pylist() == ["ok", "ok"]
