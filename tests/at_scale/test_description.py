"""What describes a run is told from what does not."""

import pytest


@pytest.mark.parametrize("content", ["{}", "not JSON", '{"shape": {"n_layer": 1}}', "[]"])
def test_a_folder_whose_description_is_foreign_is_refused(run, refused, content):
    run.folder.mkdir()
    (run.folder / "losses.json").write_text(content)
    said = refused("--resume")
    assert "losses.json does not " in said and "restore it, or use another folder" in said
    assert (run.folder / "losses.json").read_text() == content
