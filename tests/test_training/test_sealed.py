import hashlib
import json
import os

import pytest

from features.errors import CorredorError
from training.sealed import MANIFEST, SEAL, seal, unseal

PARTS = {"churn-0.txt": b"tree\n", "churn-1.txt": b"another tree\n"}


def write_manifest(folder, content: bytes):
    """Write a manifest with the right seal, as a program that means harm would."""
    (folder / MANIFEST).write_bytes(content)
    (folder / SEAL).write_text(hashlib.sha256(content).hexdigest())


@pytest.fixture
def folder(tmp_path):
    seal(tmp_path / "bundle", {"format": 1}, PARTS)
    return tmp_path / "bundle"


def test_what_was_sealed_is_what_is_read(folder):
    sealed = unseal(folder)
    assert sealed.parts == PARTS
    assert sealed.manifest == {"format": 1}


def test_the_same_content_has_the_same_id_and_may_be_written_twice(folder, tmp_path):
    assert (
        seal(folder, {"format": 1}, PARTS) == unseal(folder).id == seal(tmp_path / "b", {"format": 1}, PARTS)
    )
    assert seal(tmp_path / "c", {"format": 1, "x": 1}, PARTS) != unseal(folder).id


def test_another_bundle_is_never_overwritten(folder):
    with pytest.raises(CorredorError, match="holds something else"):
        seal(folder, {"format": 1}, {"churn-0.txt": b"other"})
    assert unseal(folder).parts == PARTS


def test_nothing_is_left_when_writing_fails(tmp_path):
    with pytest.raises(TypeError):
        seal(tmp_path / "bundle", {"format": 1}, {"churn-0.txt": "text"})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: (f / "churn-0.txt").unlink(), "churn-0.txt is missing"),
        (lambda f: (f / "churn-0.txt").write_bytes(b"tree "), "churn-0.txt has changed"),
        (lambda f: (f / "churn-0.txt").write_bytes(b"tr"), "2 bytes where 5"),
        (lambda f: (f / "churn-0.txt").write_bytes(b""), "0 bytes where 5"),
        (lambda f: (f / MANIFEST).unlink(), "bundle.json is missing"),
        (lambda f: (f / MANIFEST).write_text("{"), "bundle.json has changed"),
        (lambda f: (f / SEAL).unlink(), "bundle.sha256 is missing"),
        (lambda f: (f / SEAL).write_text("0" * 64), "bundle.json has changed"),
        (lambda f: write_manifest(f, b"{"), "not readable as JSON"),
        (lambda f: write_manifest(f, b"\xff\xfe"), "not readable as JSON"),
        (lambda f: write_manifest(f, b'{"parts": {}, "x": NaN}'), "NaN is not JSON"),
        (lambda f: write_manifest(f, b"[" * 100_000), "not readable as JSON"),
        (lambda f: write_manifest(f, b"[]"), "not the manifest"),
        (lambda f: write_manifest(f, b'{"parts": {"a.txt": 3}}'), "names a part"),
    ],
)
def test_every_damage_has_its_own_message(folder, damage, message):
    damage(folder)
    with pytest.raises(CorredorError, match=message):
        unseal(folder)


@pytest.mark.parametrize(
    "name", ["../secret.txt", "/etc/passwd", "a/b.txt", "..", "bundle.json.txt/../x.txt", "a.pkl"]
)
def test_a_part_cannot_be_outside_the_folder(folder, name):
    (folder.parent / "secret.txt").write_text("s")
    write_manifest(folder, json.dumps({"parts": {name: {"sha256": "", "bytes": 1}}}).encode())
    with pytest.raises(CorredorError, match="names a part"):
        unseal(folder)


def test_a_link_or_a_pipe_in_the_folder_is_not_followed(folder):
    (folder.parent / "secret.txt").write_bytes(b"tree\n")
    (folder / "churn-0.txt").unlink()
    (folder / "churn-0.txt").symlink_to("../secret.txt")
    with pytest.raises(CorredorError, match="cannot be opened"):
        unseal(folder)
    (folder / "churn-0.txt").unlink()
    os.mkfifo(folder / "churn-0.txt")
    with pytest.raises(CorredorError, match="not a file"):
        unseal(folder)


def test_a_folder_that_is_not_there_says_so(tmp_path):
    with pytest.raises(CorredorError, match="no such folder"):
        unseal(tmp_path / "nowhere")
