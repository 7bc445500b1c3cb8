"""What describes a run is told from what does not."""

import pytest


@pytest.mark.parametrize("content", ["{}", "not JSON", '{"shape": {"n_layer": 1}}', "[]"])
def test_a_folder_whose_description_is_foreign_is_refused(run, refused, content):
    run.folder.mkdir()
    (run.folder / "losses.json").write_text(content)
    assert "does not describe a run of this script" in refused("--resume")
    assert (run.folder / "losses.json").read_text() == content
